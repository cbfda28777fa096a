/**
 * Mutual TLS between the processes: what can be wrong with the certificates is found before anything starts.
 */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { createPrivateKey, X509Certificate } from "node:crypto"
import { isIP } from "node:net"
import type { Options } from "../ClusterOptions.ts"

type Tls = NonNullable<Options["tls"]>

/** What is wrong, by its setting. `host`: as the others reach this process. */
export const issuesOf = ({ ca, cert, key, name }: Tls, host: string): ReadonlyArray<readonly [string, string]> => {
  const authorities = read(ca)
  const [own, ...between] = read(cert)
  const privateKey = Option.liftThrowable(createPrivateKey)(Redacted.value(key))
  const issues: Array<readonly [string, string]> = []
  if (authorities.length === 0) issues.push(["tls.ca", "certificates in PEM"])
  if (own === undefined) issues.push(["tls.cert", "a certificate in PEM"])
  if (Option.isNone(privateKey)) issues.push(["tls.key", "a private key in PEM, without a passphrase"])
  if (own === undefined) return issues
  if (Option.isSome(privateKey) && !own.checkPrivateKey(privateKey.value))
    issues.push(["tls.key", "the key of tls.cert"])
  if (authorities.length > 0 && !isIssued(own, between, authorities))
    issues.push(["tls.cert", "issued by one of tls.ca"])
  else if (!isFor(own, name ?? host))
    issues.push(["tls.cert", "a certificate for tls.name, or for the host of the address"])
  return issues
}

/** Those that it has; none where one of them is not to be read. */
const read = (pem: string): ReadonlyArray<X509Certificate> =>
  Option.getOrElse(
    Option.liftThrowable(() =>
      Array.from(
        pem.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g),
        ([one]) => new X509Certificate(one)
      )
    )(),
    () => []
  )

/** Whether one of the authorities has issued it, or one of those between that was issued itself. */
const isIssued = (
  certificate: X509Certificate,
  between: ReadonlyArray<X509Certificate>,
  authorities: ReadonlyArray<X509Certificate>
): boolean =>
  authorities.some((one) => certificate.verify(one.publicKey)) ||
  between.some(
    (one, index) => certificate.verify(one.publicKey) && isIssued(one, between.toSpliced(index, 1), authorities)
  )

const isFor = (certificate: X509Certificate, host: string) =>
  (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined
