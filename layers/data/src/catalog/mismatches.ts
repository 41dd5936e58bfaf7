/** What a mapping says of the live schema that is not so, all of it. */
export class Mismatches {
  readonly found: string[] = [];
  add(table: string, column: string | undefined, why: string) {
    this.found.push(`${table}${column === undefined ? '' : `, column "${column}"`}: ${why}`);
  }
}
