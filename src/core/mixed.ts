/** The finalizer of SplitMix64 (Steele, Lea, Flood 2014): one to one on 64 bits, each bit depends on each. */
export const mixed = (value: bigint): bigint => {
  let bits = BigInt.asUintN(64, value)
  bits = BigInt.asUintN(64, (bits ^ (bits >> 30n)) * 0xbf58476d1ce4e5b9n)
  bits = BigInt.asUintN(64, (bits ^ (bits >> 27n)) * 0x94d049bb133111ebn)
  return bits ^ (bits >> 31n)
}
