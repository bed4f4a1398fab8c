/** The server.properties of one node that is broker and controller at once, and keeps to 127.0.0.1. */
export interface KafkaPorts {
  readonly plain: number
  readonly controller: number
  /** Of the listener that asks for a name and a password; only with `sasl`. */
  readonly sasl: number
  /** Of further listeners, for clients that reach this node through a proxy. */
  readonly proxied: ReadonlyArray<ProxiedPort>
}

export interface ProxiedPort {
  readonly port: number
  /** Where the proxy listens: clients of this listener are told to come there. */
  readonly proxyPort: number
}

export interface SaslUser {
  readonly username: string
  readonly password: string
}

/** PEM texts. */
export interface TlsCertificate {
  /** The server's own first, then those that signed it. */
  readonly certificateChain: string
  /** PKCS #8, not encrypted. */
  readonly key: string
}

export type Settings = Readonly<Record<string, string | number | boolean>>

export const settingsOf = (server: {
  readonly data: string
  readonly ports: KafkaPorts
  readonly sasl: SaslUser | undefined
  readonly tls: TlsCertificate | undefined
  readonly settings: Settings
}): Settings => {
  const { ports, sasl, tls } = server
  const plain = `PLAINTEXT://127.0.0.1:${ports.plain}${sasl === undefined ? "" : `,SASL://127.0.0.1:${ports.sasl}`}`
  const proxied = (portOf: (ports: ProxiedPort) => number) =>
    ports.proxied.map((proxied, index) => `,PROXIED${index}://127.0.0.1:${portOf(proxied)}`).join("")
  return {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.quorum.voters": `1@127.0.0.1:${ports.controller}`,
    listeners: `${plain}${proxied(({ port }) => port)},CONTROLLER://127.0.0.1:${ports.controller}`,
    "advertised.listeners": `${plain}${proxied(({ proxyPort }) => proxyPort)}`,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": `PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:${tls === undefined ? "SASL_PLAINTEXT" : "SASL_SSL"}${ports.proxied.map((_, index) => `,PROXIED${index}:PLAINTEXT`).join("")}`,
    ...(sasl === undefined ? {} : saslSettings(sasl)),
    ...(tls === undefined ? {} : tlsSettings(tls)),
    "log.dirs": server.data,
    "auto.create.topics.enable": false,
    "num.partitions": 1,
    // One node, so that every topic of Kafka's own has one copy; few partitions of them start sooner.
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    // A test's consumer joins at once, and may count as gone after a second; the defaults are 3 s and 6 s.
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1_000,
    // After SIGKILL the node waits until its former self counts as gone: 14 s until ready with the default of 9 s, 5 s with this.
    "broker.session.timeout.ms": 3_000,
    "broker.heartbeat.interval.ms": 500,
    "log.retention.hours": 24,
    ...server.settings
  }
}

const saslSettings = ({ password, username }: SaslUser): Settings => ({
  "sasl.enabled.mechanisms": "PLAIN",
  "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
  "listener.name.sasl.plain.sasl.jaas.config":
    `org.apache.kafka.common.security.plain.PlainLoginModule required username="${inJaas(username)}" ` +
    `password="${inJaas(password)}" "user_${inJaas(username)}"="${inJaas(password)}";`
})

const tlsSettings = ({ certificateChain, key }: TlsCertificate): Settings => ({
  "listener.name.sasl.ssl.keystore.type": "PEM",
  "listener.name.sasl.ssl.keystore.certificate.chain": certificateChain,
  "listener.name.sasl.ssl.keystore.key": key
})

const inJaas = (value: string): string => value.replace(/["\\]/g, "\\$&")

/** As Java reads a properties file: ISO 8859-1, with a backslash before what would mean something else. */
export const propertiesText = (settings: Settings): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${escaped(String(value))}\n`)
    .join("")

const escaped = (value: string): string =>
  value
    .replaceAll("\\", "\\\\")
    .replaceAll("\n", "\\n")
    .replace(/^\s/, "\\$&")
    .replace(/[^ -~]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)
