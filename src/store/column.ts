/** A column of numbers that grows: flat arrays, because there may be a million of them. */

const FIRST_VALUES = 64;

type Values = Float64Array | Uint32Array | Uint16Array;

export class Column<Array extends Values> {
  #values: Array;
  readonly #make: (length: number) => Array;
  length = 0;

  constructor(make: (length: number) => Array) {
    this.#make = make;
    this.#values = make(FIRST_VALUES);
  }

  push(value: number): void {
    if (this.length === this.#values.length) {
      const grown = this.#make(this.length * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.length++] = value;
  }

  /** What has been pushed; good until the next push. */
  get values(): Array {
    return this.#values.subarray(0, this.length) as Array;
  }
}

export function float64Column(): Column<Float64Array> {
  return new Column((length): Float64Array => new Float64Array(length));
}

export function uint32Column(): Column<Uint32Array> {
  return new Column((length): Uint32Array => new Uint32Array(length));
}

export function uint16Column(): Column<Uint16Array> {
  return new Column((length): Uint16Array => new Uint16Array(length));
}
