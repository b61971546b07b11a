// POST before anybody is signed in: a 401 is an answer here, not a reason to go and sign in.

export class Refused extends Error {
  constructor(status, error) {
    super(error.message || `the control plane answered ${status}`);
    this.status = status;
    this.code = error.code || "";
  }
}

export async function post(path, body) {
  const reply = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })
    .catch(() => { throw new Refused(0, { message: "The control plane does not answer." }); });
  const data = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Refused(reply.status, data.error || {});
  return data;
}
