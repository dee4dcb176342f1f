/** A resource of Calico's API as JSON, which is YAML too. `settings` become annotations `ocicat.dev/...`. */
export function resourceText(
  kind: string,
  name: string,
  spec: unknown,
  settings: Readonly<Record<string, string>> = {},
): string {
  const annotations = Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [`ocicat.dev/${key}`, value]),
  );
  return JSON.stringify({ apiVersion: 'projectcalico.org/v3', kind, metadata: { name, annotations }, spec });
}
