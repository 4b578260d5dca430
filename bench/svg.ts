/** Writes SVG: elements, text, and what charts share (colours, numbers on axes). */

export type Attributes = Readonly<Record<string, string | number>>;

/** Told apart by people who see few colours, too. */
const COLOURS = ["#1a6fb5", "#d9822b", "#4a8f3c", "#8a5aa8"] as const;

export function element(name: string, attributes: Attributes, content = ""): string {
  const given = Object.entries(attributes).map(([key, value]) => ` ${key}="${valueText(value)}"`);
  return content === ""
    ? `<${name}${given.join("")}/>`
    : `<${name}${given.join("")}>${content}</${name}>`;
}

/** Tenths of a pixel are enough, and make a diff that can be read. */
function valueText(value: string | number): string {
  return typeof value === "number" ? String(Math.round(value * 10) / 10) : escaped(value);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

/** `anchor` says which end of the text is at `x`. */
export function label(
  text: string,
  x: number,
  y: number,
  anchor: "start" | "middle" | "end" = "start",
  more: Attributes = {},
): string {
  return element("text", { x, y, "text-anchor": anchor, ...more }, escaped(text));
}

export function line(x1: number, y1: number, x2: number, y2: number, stroke = "#d8d8d8"): string {
  return element("line", { x1, y1, x2, y2, stroke });
}

/** Read out where the picture cannot be seen. */
const TITLE = "Messages a second and CPU-seconds a million messages";

/** A whole picture, on white, whatever it is shown on. */
export function picture(width: number, height: number, parts: readonly string[]): string {
  const title = element("title", {}, escaped(TITLE));
  const background = element("rect", { width, height, fill: "#ffffff" });
  const attributes = {
    xmlns: "http://www.w3.org/2000/svg",
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    "font-family": "system-ui, sans-serif",
    "font-size": 12,
    fill: "#222222",
  };
  return `${element("svg", attributes, `\n${[title, background, ...parts].join("\n")}\n`)}\n`;
}

/** What each colour stands for, side by side from `x` on. */
export function legend(names: readonly string[], x: number, y: number): string {
  let at = x;
  const parts = names.map((name, index) => {
    const entry =
      element("rect", { x: at, y: y - 9, width: 10, height: 10, fill: colour(index) }) +
      label(name, at + 15, y);
    at += 35 + name.length * 7;
    return entry;
  });
  return parts.join("");
}

export function colour(index: number): string {
  return COLOURS[index % COLOURS.length]!;
}

/** `1.2 M`, `45 k`, `0.31`: three digits that mean something. */
export function short(value: number): string {
  const units = [
    [1e6, " M"],
    [1e3, " k"],
  ] as const;
  const [size, unit] = units.find(([least]) => Math.abs(value) >= least) ?? [1, ""];
  return `${Number((value / size).toPrecision(3))}${unit}`;
}
