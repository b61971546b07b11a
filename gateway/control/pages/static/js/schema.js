// Reading a manifest's JSON Schema: what each field is, what it is called, and what a new one holds.

// Without what every object has: a field in a file may be called `constructor`.
const KNOWN_LABELS = {
  __proto__: null,
  in: "Only these", not_in: "Never these", id: "Rule", ownedBy: "Owned by", api_key: "API key", base_url: "Base URL", url: "URL",
  when: "Which calls", limit_to: "Limit", redact_with: "What is masked", log: "Record prompts and replies", auth_data: "Signing in",
  load_balance_targets: "Targets", routing_config: "Routing", integrations: "Models", set: "Set", sla_cutoff: "SLA cut-off",
};
const CAPITALS = { __proto__: null, id: "ID", url: "URL", api: "API", usd: "USD", tls: "TLS", ms: "(ms)", aws: "AWS", ca: "CA", fqn: "FQN", iam: "IAM", arn: "ARN", openai: "OpenAI" };

/** Reads one schema with its `$defs`. */
export class Schema {
  constructor(root) {
    this.root = root;
  }

  /** *schema* without references and without "or null", which means the same as leaving a field out. */
  plain(schema) {
    let found = schema;
    for (;;) {
      if (found.$ref) {
        const { $ref, ...own } = found;
        found = { ...this.root.$defs[$ref.split("/").pop()], ...own };
      } else if (found.anyOf?.some((one) => one.type === "null")) {
        const { anyOf, ...own } = found;
        const kinds = anyOf.filter((one) => one.type !== "null");
        found = kinds.length === 1 ? { ...kinds[0], ...own } : { ...own, anyOf: kinds };
      } else {
        return found;
      }
    }
  }

  /** One of: secret, text, number, flag, choice, fixed, texts, choices, list, object, pairs, variants, data. */
  kind(schema) {
    const plain = this.plain(schema);
    if (plain.format === "secret") return "secret";
    if (plain.const !== undefined) return "fixed";
    if (plain.enum) return "choice";
    if (plain.oneOf && plain.discriminator) return "variants";
    if (plain.type === "boolean") return "flag";
    if (plain.type === "integer" || plain.type === "number") return "number";
    if (plain.type === "string") return "text";
    if (plain.type === "array") {
      const items = this.plain(plain.items || {});
      if (items.enum) return "choices";
      if (items.type === "string" || items.format === "secret") return "texts";
      return items.type === "object" || items.oneOf ? "list" : "data";
    }
    if (plain.type === "object" && plain.properties) return "object";
    if (plain.type === "object" && this.plain(plain.additionalProperties || {}).type === "string") return "pairs";
    return "data";
  }

  /** What *value* is of a schema that takes a text or an object, which nothing but their kind tells apart. */
  taken(schema, value) {
    const choices = this.plain(schema).oneOf;
    if (!choices || this.plain(schema).discriminator) return schema;
    const isObject = value !== null && typeof value === "object";
    return choices.find((one) => (this.plain(one).type === "object") === isObject) ?? choices[0];
  }

  /** The forms that a field may have, by what tells them apart. */
  variants(schema) {
    const plain = this.plain(schema);
    return Object.entries(plain.discriminator.mapping).map(([tag, reference]) => ({ tag, schema: this.plain({ $ref: reference }) }));
  }

  /** What a new value holds: what has to be there, empty. */
  fresh(schema) {
    const plain = this.plain(schema);
    switch (this.kind(schema)) {
      case "fixed": return plain.const;
      case "choice": return plain.enum[0];
      case "flag": return plain.default ?? true;
      case "number": return Math.max(plain.minimum ?? 1, 1);
      case "texts": case "choices": return [];
      case "list": return [this.fresh(plain.items)];
      case "pairs": return {};
      case "variants": return this.fresh(this.variants(schema)[0].schema);
      case "object": return Object.fromEntries(Object.entries(plain.properties)
        .filter(([name]) => plain.required?.includes(name)).map(([name, field]) => [name, this.fresh(field)]));
      case "data": return plain.oneOf ? this.fresh(plain.oneOf[0]) : {};
      default: return "";
    }
  }
}

/** `limit_to` as "Limit", `tokens_per_day` as "Tokens per day". */
export function labelOf(name) {
  if (KNOWN_LABELS[name]) return KNOWN_LABELS[name];
  const words = name.replace(/([a-z])([A-Z])/g, "$1_$2").toLowerCase().split(/[_-]+/).map((word) => CAPITALS[word] ?? word);
  const text = words.join(" ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** `provider-account/aws-bedrock` as "AWS bedrock". */
export const typeLabel = (type) => labelOf(type.split("/").pop().replace(/^gateway-|-config$/g, ""));

/** Whether *value* has fields: no list, and not null. */
export const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

export function at(body, path) {
  return path.reduce((value, step) => (value === null || value === undefined ? undefined : value[step]), body);
}

/** Put *value* at *path*; undefined takes it out, and with it what is empty around it and is not *kept*. */
export function put(body, path, value, kept = () => true) {
  const [step, ...rest] = path;
  if (rest.length) {
    const isList = typeof rest[0] === "number";
    // What is of another kind has no such place: what is written there would be lost.
    if (isList ? !Array.isArray(body[step]) : !isObject(body[step])) {
      if (value === undefined) return;
      body[step] = isList ? [] : {};
    }
    put(body[step], rest, value, (inner) => kept([step, ...inner]));
    const isEmpty = !Array.isArray(body[step]) && !Object.keys(body[step]).length;
    if (value === undefined && isEmpty && typeof step === "string" && !kept([step])) delete body[step];
  } else if (value === undefined) {
    delete body[step];
  } else {
    body[step] = value;
  }
}
