/** What users run: the package, built as `npm run build` builds it, in a temporary folder. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BUILD_TIMEOUT_MS = 120_000;

/** The command of this checkout. */
export const CHECKOUT_LAUNCHER = join(ROOT, 'src/cli/ocicat.sh');

/** Names, for a benchmark that runs itself again in a namespace, the command to be measured. */
export const LAUNCHER_VARIABLE = 'OCICAT_BENCH_LAUNCHER';

/** A package that was built. */
export interface BuiltPackage {
  /** its `ocicat` command */
  readonly launcher: string;
  remove(): void;
}

/** Builds what the package holds (`files` in package.json), with the checkout's dependencies. Throws when it does not build. */
export function buildPackage(): BuiltPackage {
  const folder = mkdtempSync(join(tmpdir(), 'ocicat-bench-package-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const { files }: { readonly files: readonly string[] } = JSON.parse(
      readFileSync(join(ROOT, 'package.json'), 'utf8'),
    );
    const built = ['-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist')];
    execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), ...built], {
      cwd: ROOT,
      timeout: BUILD_TIMEOUT_MS,
      stdio: 'inherit',
    });
    cpSync(join(ROOT, 'src/core/core.wasm'), join(folder, 'dist/src/core/core.wasm'));
    for (const file of ['package.json', ...files])
      if (file !== 'dist') cpSync(join(ROOT, file), join(folder, file), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    return { launcher: join(folder, 'src/cli/ocicat.sh'), remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Runs `measure` with the command that `--from` asks for, `package` or `checkout`, in the environment; throws for any other word. */
export async function withLauncher(
  from: string,
  measure: (environment: NodeJS.ProcessEnv) => Promise<void>,
): Promise<void> {
  if (from !== 'package' && from !== 'checkout')
    throw new Error(`--from ${from}: is neither package nor checkout`);
  const built = from === 'package' ? buildPackage() : undefined;
  try {
    await measure({ ...process.env, [LAUNCHER_VARIABLE]: built?.launcher ?? CHECKOUT_LAUNCHER });
  } finally {
    built?.remove();
  }
}
