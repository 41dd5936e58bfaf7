/** A heading's anchor, as GitHub and most renderers of Markdown make it. */
export const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\- ]/gu, '')
    .replaceAll(' ', '-');

/** Where a heading of RUNBOOK.md can be read. */
export const runbookLink = (runbookUrl: string, heading: string): string =>
  `${runbookUrl}#${anchorOf(heading)}`;
