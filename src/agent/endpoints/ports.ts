/** Ports in a request for an endpoint. Pure. */
import { problem } from '../../api/problem.ts';
import { list, Problems } from '../../model/schema.ts';
import { type WorkloadPort, workloadPort } from '../../model/workload-endpoint.ts';

/** Reads the `ports` of a request body, in the resource's own form. Throws `ApiError` that names each fault and its place. */
export function readPorts(input: unknown): readonly WorkloadPort[] | undefined {
  if (input === undefined) return undefined;
  const problems = new Problems();
  const ports = list(workloadPort).read(input, 'ports', problems);
  if (problems.count > 0 || ports === undefined) {
    const text = problems.list.map(({ path, reason }) => `${path}: ${reason}`).join('; ');
    throw problem('invalid', text || 'ports: must be a list');
  }
  return ports;
}

/** Whether a port is published on the host. */
export function isPublished(port: WorkloadPort): boolean {
  return (port.hostPort ?? 0) !== 0;
}

/**
 * The ports of an endpoint that is added again: published ones are those of the request if it names any ports (an empty list takes them
 * all back), else those stored; named ports of the container that the request does not mention stay.
 */
export function mergePorts(
  requested: readonly WorkloadPort[] | undefined,
  earlier: readonly WorkloadPort[] | undefined,
): readonly WorkloadPort[] {
  if (requested === undefined) return earlier ?? [];
  const names = new Set(requested.flatMap(({ name }) => name ?? []));
  const kept = (earlier ?? []).filter(
    (port) => !isPublished(port) && port.name !== undefined && !names.has(port.name),
  );
  return [...requested, ...kept];
}
