/** What a person finds who opens the store folder. */

/** README of the store folder. */
export const STORE_README = `This is the store of an Ocicat agent: one file per resource, in Calico's v3 YAML.

  <kind>/<name>.yaml                 IPPool/lab4.yaml
  <kind>/<namespace>.<name>.yaml     NetworkPolicy/default.allow-web.yaml

Edit, add or remove files with any editor; the running agent picks changes up at once. An invalid file changes
nothing: the last good version stays in force, and "ocicat status" says what is wrong.
"ocicat apply", "get" and "delete" do the same with checks first.

Do not edit ipam/ (addresses that are in use) and .ocicat/ (the agent's own).
`;

/** README of the IPAM folder. */
export const IPAM_README = `Addresses that this host has given to containers. Do not edit: an address could be given out twice.
"ocicat endpoints" shows what is here in a form made for people.
`;
