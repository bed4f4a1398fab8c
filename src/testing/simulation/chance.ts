/**
 * Chance keyed by (seed, site, counter): each site counts its own draws, so a fault more or less at one site changes nothing that
 * is drawn at another. This is what lets a failing history shrink.
 */
export class Chance {
  readonly #seed: number
  readonly #sites = new Map<string, Site>()

  constructor(seed: number) {
    this.#seed = seed
  }

  /** A whole number of 32 bits. */
  bits(site: string): number {
    return drawnAt(this.#siteOf(site))
  }

  /** The draws of one site in [0, 1), for whoever draws often: no text is made and looked up at each of them. */
  drawsOf(site: string): () => number {
    const found = this.#siteOf(site)
    return () => drawnAt(found) / 2 ** 32
  }

  #siteOf(name: string): Site {
    let site = this.#sites.get(name)
    if (site === undefined) {
      site = { hash: hashOf(name, this.#seed), count: 0 }
      this.#sites.set(name, site)
    }
    return site
  }

  /** In [0, 1). */
  next(site: string): number {
    return this.bits(site) / 2 ** 32
  }

  /** A whole number in [0, count). */
  below(site: string, count: number): number {
    return Math.floor(this.next(site) * count)
  }

  between(site: string, from: number, to: number): number {
    return from + this.next(site) * (to - from)
  }
}

type Site = { readonly hash: number; count: number }

const drawnAt = (site: Site): number => mixed(site.hash ^ Math.imul(++site.count, 0x9e3779b1))

const double = new Float64Array(1)
const halves = new Uint32Array(double.buffer)

/** All bits of a number, without the text of it. */
export const hashOfNumber = (value: number, from: number): number => {
  double[0] = value
  return mixed(Math.imul(from ^ (halves[0] ?? 0), 0x01000193) ^ (halves[1] ?? 0))
}

/** FNV-1a over the characters of a text, for sites and for the trace. */
export const hashOf = (text: string, from = 0x811c9dc5): number => {
  let hash = from | 0
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return mixed(hash)
}

/** The finalizer of MurmurHash3: every bit of the input moves half of the bits of the output. */
const mixed = (value: number): number => {
  let bits = value
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}
