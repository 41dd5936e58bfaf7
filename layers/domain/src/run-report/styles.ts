/** Of the report's page. Every pair of colours that carries text has a contrast of 4.5 at least, dark and light. */
export const STYLES = `
:root {
  color-scheme: light dark;
  --page: #f7f7f5; --card: #ffffff; --ink: #1b1d21; --soft: #565b64; --line: #d9dbde; --link: #1a56b0;
  --good: #0b6636; --good-back: #e3f3e8; --bad: #a8201a; --bad-back: #fbe7e5; --wait: #7a4a00; --wait-back: #fcf0d9;
  --work: #3f73c4; --area: #8fb3e8; --strong: #1a56b0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14161a; --card: #1c1f25; --ink: #eceef1; --soft: #aab0ba; --line: #363b45; --link: #94bcff;
    --good: #7fdba8; --good-back: #15301f; --bad: #ffa59c; --bad-back: #3b1a18; --wait: #f3c57a; --wait-back: #35270f;
    --work: #6f9fe8; --area: #365f9e; --strong: #94bcff;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 70rem; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: break-word; }
a { color: var(--link); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--strong); outline-offset: 2px; border-radius: 4px; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: .5rem; padding: .5rem 1rem; background: var(--card); z-index: 1; }
code { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
h1 { margin: .1rem 0 .4rem; font-size: 2rem; line-height: 1.2; letter-spacing: -.015em; display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; }
h2 { margin: 0 0 .9rem; font-size: 1.2rem; letter-spacing: -.005em; }
p { margin: 0 0 .8rem; max-width: 46rem; }
.product { margin: 0; color: var(--soft); font-weight: 600; letter-spacing: .02em; }
.origin { margin: 0; color: var(--soft); font-size: .9rem; max-width: none; }
.state { font-size: 1rem; font-weight: 650; letter-spacing: 0; padding: .2rem .8rem; border-radius: 99px; border: 1px solid currentColor; }
.state.good { color: var(--good); background: var(--good-back); }
.state.bad { color: var(--bad); background: var(--bad-back); }
.state.wait { color: var(--wait); background: var(--wait-back); }
nav ul { list-style: none; margin: 1.3rem 0; padding: 0; display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; font-size: .92rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.4rem 1.5rem 1.1rem; margin: 0 0 1.1rem; }
.lead { font-size: 1.2rem; line-height: 1.45; }
.more { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: .8rem; margin: 1.2rem 0 .4rem; }
.tile { border: 1px solid var(--line); border-left: 4px solid var(--line); border-radius: 8px; padding: .7rem .9rem; }
.tile.good { border-left-color: var(--good); }
.tile.bad { border-left-color: var(--bad); }
.tile.bad .value { color: var(--bad); }
.tile dt { color: var(--soft); font-size: .86rem; }
.tile dd { margin: 0; }
.value { display: block; font-size: 1.65rem; line-height: 1.25; font-weight: 650; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.note { color: var(--soft); font-size: .86rem; }
.verdict { display: inline-block; margin: 0 0 .8rem; padding: .15rem 1.1rem; border-radius: 8px; font-size: 1.6rem; font-weight: 750; letter-spacing: .03em; }
.verdict.good { color: var(--good); background: var(--good-back); }
.verdict.bad { color: var(--bad); background: var(--bad-back); }
.findings { list-style: none; margin: 0 0 1rem; padding: 0; }
.finding { border-left: 4px solid var(--line); padding: .1rem 0 .1rem .9rem; margin: 0 0 1rem; }
.finding.blocker { border-left-color: var(--bad); }
.finding.unified-blocker, .finding.warning { border-left-color: var(--wait); }
.finding p { margin: 0 0 .25rem; }
.badge { font-size: .8rem; font-weight: 650; padding: .1rem .5rem; border-radius: 99px; border: 1px solid var(--line); color: var(--soft); white-space: nowrap; }
.blocker .badge { color: var(--bad); background: var(--bad-back); border-color: transparent; }
.unified-blocker .badge, .warning .badge { color: var(--wait); background: var(--wait-back); border-color: transparent; }
.whole { white-space: nowrap; }
figure { margin: 0 0 1.2rem; }
figcaption, .caption { font-weight: 600; font-size: .92rem; margin: 0 0 .5rem; }
.where, .keys, .legend-text, .basis { color: var(--soft); font-size: .88rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .7rem 1.5rem; margin: .6rem 0 1.2rem; }
.facts dt { color: var(--soft); font-size: .86rem; }
.facts dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: 0 0 1.1rem; border-radius: 4px; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; font-weight: 600; padding: 0 0 .4rem; }
th, td { text-align: left; vertical-align: top; padding: .38rem 1.3rem .38rem 0; border-bottom: 1px solid var(--line); font-weight: 400; }
thead th { color: var(--soft); font-size: .84rem; font-weight: 600; }
.figure { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
time { font-variant-numeric: tabular-nums; white-space: nowrap; }
.repeated { display: block; color: var(--soft); font-size: .86rem; max-width: 16rem; }
.details { display: block; min-width: 13rem; color: var(--soft); font-size: .86rem; }
.details span { display: inline-block; margin-right: .6rem; }
.details b { font-weight: 500; color: var(--ink); overflow-wrap: anywhere; }
details { margin: 0 0 1rem; }
summary { cursor: pointer; color: var(--link); margin: 0 0 .6rem; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: 0 0 .8rem; padding: 0; font-size: .9rem; }
.swatch { display: inline-block; width: .9rem; height: .9rem; border-radius: 3px; vertical-align: -.1rem; border: 1px solid transparent; }
.swatch.equal { background: var(--good); }
.swatch.differs { background: var(--bad); }
.swatch.open { border: 1.5px dashed var(--soft); }
footer { color: var(--soft); font-size: .88rem; }
svg { display: block; width: 100%; min-width: 42rem; height: auto; font-family: inherit; }
svg text { fill: var(--ink); font-size: 13px; }
svg .tick { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
svg .in-stage { fill: #16181b; font-size: 12.5px; }
.grid { stroke: var(--line); stroke-width: 1; }
.work { fill: var(--work); }
.flip { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 3 3; opacity: .6; }
.area { fill: var(--area); }
.line { fill: none; stroke: var(--strong); stroke-width: 2; stroke-linejoin: round; }
.whisker { stroke: var(--soft); stroke-width: 2; }
.end { stroke: var(--soft); stroke-width: 2; }
.dot { fill: var(--strong); }
.dot-99 { fill: var(--card); stroke: var(--strong); stroke-width: 2.5; }
.cell-equal { fill: var(--good); }
.cell-differs { fill: var(--bad); }
.cell-open { fill: none; stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 3 2; }
.cross { stroke: var(--card); stroke-width: 2; }
.stage-legacy { fill: #c6cad1; } .stage-copying { fill: #f0c674; } .stage-mirrored { fill: #96d0c2; }
.stage-dual-write { fill: #c6b4f0; } .stage-unified { fill: #9dc3f6; } .stage-closed { fill: #9dd6a4; }
@media (max-width: 40rem) {
  body { padding: 1.2rem .8rem 2rem; }
  section { padding: 1.1rem 1rem .8rem; border-radius: 10px; }
  h1 { font-size: 1.55rem; }
}
@media print {
  :root { --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --good: #0b6636; --good-back: #fff; --bad: #a8201a; --bad-back: #fff; --wait: #7a4a00; --wait-back: #fff; --work: #3f73c4; --area: #8fb3e8; --strong: #1a56b0; --link: #000; }
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, .skip { display: none; }
  section { border: 0; border-top: 1px solid var(--line); border-radius: 0; padding: 1rem 0 .4rem; margin: 0; }
  h2 { break-after: avoid; }
  tr, .tile, .finding, svg { break-inside: avoid; }
  .scroll { overflow: visible; }
  svg { min-width: 0; }
  rect, .swatch, .state, .verdict, .badge { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
}
`;
