import { html, type Markup } from './html.ts';

type Cell = Markup | string | number;

export interface TableProps {
  readonly caption: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  /** Columns of figures, which line up on the right; counted from 0. */
  readonly figures?: readonly number[];
}

/** A table whose first column names its rows; where the screen is narrower it scrolls by itself. */
export const table = ({ caption, head, rows, figures = [] }: TableProps): Markup => {
  const kind = (at: number) => (figures.includes(at) ? 'figure' : 'text');
  return html`<div class="scroll" role="group" aria-label="${caption}" tabindex="0"><table><caption>${caption}</caption><thead><tr>${head.map((text, at) => html`<th scope="col" class="${kind(at)}">${text}</th>`)}</tr></thead><tbody>${rows.map(
    ([first, ...rest]) =>
      html`<tr><th scope="row">${first}</th>${rest.map((cell, at) => html`<td class="${kind(at + 1)}">${cell}</td>`)}</tr>`,
  )}</tbody></table></div>`;
};

/** Names and what they stand for. */
export const facts = (entries: readonly (readonly [string, Cell])[]): Markup =>
  html`<dl class="facts">${entries.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;

/** Figures that most readers need not see, one keystroke away; printed in any case. */
export const folded = (summary: string, content: Markup): Markup =>
  html`<details><summary>${summary}</summary>${content}</details>`;
