import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');

/** Rooms that are pure: no sockets, files, processes or clocks. */
const PURE = [
  'bgp/wire',
  'bgp/session',
  'bgp/rib',
  'bgp/policy',
  'bgp/capture',
  'bgp/bfd/packet.ts',
  'bgp/bfd/session.ts',
  'fib/rules',
  'src/calc',
  'src/net',
  'src/model',
];
const IMPURE_MODULES = [
  'net',
  'dgram',
  'http',
  'fs',
  'fs/promises',
  'child_process',
  'timers',
  'timers/promises',
  'worker_threads',
];
const IMPURE_PACKAGES = ['execa', 'koffi', 'pino'];

/** [room, what of the project it may import besides itself]; the first match holds. */
const ALLOWED: readonly (readonly [string, readonly string[]])[] = [
  ['src/core', []],
  ['src/net', ['src/core']],
  ['bgp', ['src/core', 'src/net']],
  ['fib', ['src/core', 'src/net']],
  ['src/model', ['src/net', 'src/calc/selector']],
  ['src/calc/selector', ['src/net']],
  ['src/calc', ['src/net', 'src/model', 'fib/rules/types.ts']],
  ['src/store', ['src/net', 'src/model']],
  ['src/ipam', ['src/net', 'src/model', 'src/store']],
  ['src/api', ['src/net', 'src/model']],
  ['src/cli', ['src', 'bgp']],
  ['src', ['src', 'bgp', 'fib']],
];

/** The only places inside bgp/ that open sockets. */
const SOCKET_ROOMS = ['bgp/transport', 'bgp/bfd/sockets.ts'];

interface Import {
  readonly file: string;
  readonly specifier: string;
}

function sourceFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder)).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(join(ROOT, path)).isDirectory()) return sourceFiles(path);
    return name.endsWith('.ts') ? [path] : [];
  });
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const pattern =
    /(?:^|\n)\s*(?:import|export)\b[^'";]*?from\s*'([^']+)'|\bimport\s*\(\s*'([^']+)'\s*\)|(?:^|\n)\s*import\s*'([^']+)'/g;
  return [...text.matchAll(pattern)].map((match) => ({
    file,
    specifier: match[1] ?? match[2] ?? match[3] ?? '',
  }));
}

const within = (path: string, room: string): boolean => path === room || path.startsWith(`${room}/`);

describe('import rules', () => {
  const files = ['src', 'bgp', 'fib'].flatMap(sourceFiles);
  const imports = files.flatMap(importsOf);

  it('sees the tree', () => {
    assert.ok(files.length > 50);
    assert.ok(imports.length > 100);
  });

  it('rooms import only what they may', () => {
    const broken = imports.filter(({ file, specifier }) => {
      if (!specifier.startsWith('.')) return false;
      const target = relative(ROOT, resolve(ROOT, dirname(file), specifier));
      const rule = ALLOWED.find(([room]) => within(file, room));
      if (rule === undefined) return true;
      const [room, allowed] = rule;
      return !within(target, room) && !allowed.some((other) => within(target, other));
    });
    assert.deepEqual(broken, []);
  });

  it('pure rooms import no I/O', () => {
    const broken = imports.filter(
      ({ file, specifier }) =>
        PURE.some((room) => within(file, room)) &&
        (IMPURE_MODULES.includes(specifier.replace(/^node:/, '')) || IMPURE_PACKAGES.includes(specifier)),
    );
    assert.deepEqual(broken, []);
  });

  it('pure rooms read no clock', () => {
    const broken = files.filter(
      (file) =>
        PURE.some((room) => within(file, room)) &&
        /\b(Date\.now|performance\.now|setTimeout|setInterval|setImmediate)\b|new Date\(\)/.test(
          readFileSync(join(ROOT, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, ''),
        ),
    );
    assert.deepEqual(broken, []);
  });

  it('only the transport and the sockets of BFD open sockets in bgp/', () => {
    const broken = imports.filter(
      ({ file, specifier }) =>
        within(file, 'bgp') &&
        !SOCKET_ROOMS.some((room) => within(file, room)) &&
        ['node:net', 'node:dgram', 'koffi'].includes(specifier),
    );
    assert.deepEqual(broken, []);
  });

  it('every local import names its file with .ts', () => {
    assert.deepEqual(
      imports.filter(
        ({ file, specifier }) =>
          specifier.startsWith('.') &&
          !/\.(ts|json)$/.test(specifier) &&
          // AssemblyScript adds it by itself.
          !within(file, 'src/core/assembly'),
      ),
      [],
    );
  });
});
