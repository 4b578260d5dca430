/** A Markdown file of sections, of which each run writes one anew and leaves the others as they are. */

/** The document with `text` as the section of that heading: in the old one's place, or at the end. */
export function withSection(document: string, heading: string, text: string): string {
  const title = `## ${heading}\n`;
  const section = `${title}\n${text.trimEnd()}\n`;
  const start = document.startsWith(title) ? 0 : document.indexOf(`\n${title}`) + 1;
  if (start === 0 && !document.startsWith(title)) return `${document.trimEnd()}\n\n${section}`;
  const end = document.indexOf("\n## ", start);
  const rest = end < 0 ? "" : document.slice(end);
  return document.slice(0, start) + section + rest;
}
