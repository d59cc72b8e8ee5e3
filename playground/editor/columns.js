// rnnspec counts columns in characters from 1, the editor counts UTF-16 units from 0.

export function unitsBefore(line, column) {
  let units = 0;
  let characters = 1;
  for (const character of line) {
    if (characters++ >= column) break;
    units += character.length;
  }
  return units;
}

export function columnAt(line, units) {
  return [...line.slice(0, units)].length + 1;
}
