// Preloaded into a Node program that has no setting for the address it binds (Portkey's gateway listens on all of
// them): whatever it opens listens on 127.0.0.1 only, because it holds no key and relays to any host it is told.
const net = require("node:net");

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  const callback = rest.find((argument) => typeof argument === "function");
  return listen.call(this, { port, host: "127.0.0.1" }, callback);
};
