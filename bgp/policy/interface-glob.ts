/** Patterns of interface names, as in Calico's resources. */

/** A test of names made of a pattern in which `*` stands for any characters. */
export function interfaceGlob(pattern: string): (name: string) => boolean {
  const expression = pattern
    .split('*')
    .map((part) => part.replace(/[.\\+?^${}()|[\]]/g, '\\$&'))
    .join('.*');
  const compiled = new RegExp(`^${expression}$`);
  return (name) => compiled.test(name);
}
