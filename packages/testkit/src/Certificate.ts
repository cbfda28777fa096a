/**
 * Certificates for servers and clients of a test, self-signed or of such a one, made when the test runs: no key lies in the repository, no other program
 * is needed, and a certificate can be for any name and any time.
 */
import { Effect } from "effect"
import { generateKeyPairSync, randomBytes, sign } from "node:crypto"

/** PEM, as `node:tls` takes both. A self-signed certificate is also the authority (`ca`) that trusts it, and those that it issues. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

export interface Options {
  /** DNS names for which it is valid; default `localhost`. */
  readonly names?: ReadonlyArray<string>
  /** IPv4 addresses for which it is valid; default `127.0.0.1`. */
  readonly addresses?: ReadonlyArray<string>
  /** Default: an hour ago. */
  readonly notBefore?: Date
  /** Default: in a day. */
  readonly notAfter?: Date
  /** who signs it: a self-signed one; default: it signs itself */
  readonly issuer?: Certificate
}

const hour = 3_600_000

/** A new key (P-256) and its certificate. */
export const make = (options: Options = {}): Effect.Effect<Certificate> =>
  Effect.sync(() => {
    const now = Date.now()
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
    const { issuer } = options
    const authority = nameOf("testkit")
    const algorithm = sequence(oid(ecdsaWithSha256))
    // RFC 5280, 4.1
    const unsigned = sequence(
      der(explicit(0), der(integer, Buffer.from([2]))),
      // positive, and never twice for one issuer
      der(integer, Buffer.concat([Buffer.from([1]), randomBytes(15)])),
      algorithm,
      authority,
      sequence(time(options.notBefore ?? new Date(now - hour)), time(options.notAfter ?? new Date(now + 24 * hour))),
      issuer === undefined ? authority : nameOf("issued by testkit"),
      publicKey.export({ type: "spki", format: "der" }),
      der(
        explicit(3),
        sequence(
          extension(basicConstraints, issuer === undefined ? sequence(der(boolean, Buffer.from([0xff]))) : sequence()),
          extension(
            subjectAltName,
            sequence(
              ...(options.names ?? ["localhost"]).map((dns) => der(dnsName, Buffer.from(dns))),
              ...(options.addresses ?? ["127.0.0.1"]).map((ip) =>
                der(ipAddress, Buffer.from(ip.split(".").map(Number)))
              )
            )
          )
        )
      )
    )
    const signature = sign("sha256", unsigned, issuer?.key ?? privateKey)
    const signed = sequence(unsigned, algorithm, der(bitString, Buffer.concat([Buffer.from([0]), signature])))
    return {
      cert: `-----BEGIN CERTIFICATE-----\n${signed.toString("base64")}\n-----END CERTIFICATE-----\n`,
      key: privateKey.export({ type: "pkcs8", format: "pem" }).toString()
    }
  })

// DER (X.690): a tag, the length, the contents.
const [boolean, integer, bitString, octetString, objectId, utf8String, generalizedTime] = [1, 2, 3, 4, 6, 12, 0x18]
const [dnsName, ipAddress] = [0x82, 0x87]
const explicit = (tag: number) => 0xa0 + tag

const [commonName, subjectAltName, basicConstraints, ecdsaWithSha256] = [
  "550403",
  "551d11",
  "551d13",
  "2a8648ce3d040302"
]

const der = (tag: number, contents: Buffer): Buffer => {
  const { length } = contents
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), contents])
}
const sequence = (...parts: ReadonlyArray<Buffer>) => der(0x30, Buffer.concat(parts))
const nameOf = (name: string) => sequence(set(sequence(oid(commonName), der(utf8String, Buffer.from(name)))))
const set = (part: Buffer) => der(0x31, part)
const oid = (encoded: string) => der(objectId, Buffer.from(encoded, "hex"))
const extension = (id: string, value: Buffer) => sequence(oid(id), der(octetString, value))
const time = (date: Date) => der(generalizedTime, Buffer.from(`${date.toISOString().replaceAll(/[-:T]|\.\d+/g, "")}`))
