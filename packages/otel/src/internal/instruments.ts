/**
 * The instruments of a `MeterProvider` as a place where figures go.
 *
 * They are the synchronous ones: what happened after the last export is then the provider's to export, also when our
 * layer has closed before it. What is used of the API is written down here, so that only apps that have it need it.
 */
import * as Catalog from "./catalog.ts"
import { scope } from "./otlpData.ts"
import type { Attributes, Target } from "./target.ts"

/** A `MeterProvider` of `@opentelemetry/api` 1.9 or later, as far as it is used. */
export interface MeterProvider {
  getMeter(name: string): Meter
}

/** Its `Meter`. */
export interface Meter {
  createCounter(name: string, options: InstrumentOptions): { add(value: number, attributes: Attributes): void }
  createGauge(name: string, options: InstrumentOptions): { record(value: number, attributes: Attributes): void }
  createHistogram(name: string, options: InstrumentOptions): { record(value: number, attributes: Attributes): void }
}

/** What an instrument is made with. */
export interface InstrumentOptions {
  description?: string
  unit?: string
  advice?: { explicitBucketBoundaries?: Array<number> }
}

interface Handle {
  readonly instrument: (value: number, attributes: Attributes) => void
  readonly attributes: Attributes
}

export const target = (provider: MeterProvider): Target<Handle> => {
  const meter = provider.getMeter(scope)
  const instruments = new Map<Catalog.Entry, Handle["instrument"]>()
  const make = ({ description, kind, name, unit }: Catalog.Entry): Handle["instrument"] => {
    switch (kind) {
      case "counter": {
        const counter = meter.createCounter(name, { description, unit })
        return (value, attributes) => counter.add(value, attributes)
      }
      case "gauge": {
        const gauge = meter.createGauge(name, { description, unit })
        return (value, attributes) => gauge.record(value, attributes)
      }
      case "histogram": {
        const advice = { explicitBucketBoundaries: [...Catalog.boundaries] }
        const histogram = meter.createHistogram(name, { description, unit, advice })
        return (value, attributes) => histogram.record(value, attributes)
      }
    }
  }
  return {
    identity: provider,
    make: (entry, attributes) => {
      const instrument = instruments.get(entry) ?? make(entry)
      instruments.set(entry, instrument)
      return { instrument, attributes }
    },
    update: ({ attributes, instrument }, value) => instrument(value, attributes),
    // a provider has no way to forget a series
    remove: () => {}
  }
}
