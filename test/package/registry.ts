/** A registry of one package on this machine, so that a package that is not published can be installed as if it were. */

import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export interface Registry extends AsyncDisposable {
  readonly url: string;
}

/** Serves an archive that `npm pack` made from a package.json. */
export async function serveArchive(archive: string, manifest: { readonly name: string; readonly version: string }): Promise<Registry> {
  const bytes = readFileSync(archive);
  const path = `/${manifest.name}/-/${manifest.name}-${manifest.version}.tgz`;
  let url = "";
  const server: Server = createServer((request, response) => {
    if (request.url === path) return void response.end(bytes);
    if (request.url !== `/${manifest.name}`) return void response.writeHead(404).end("{}");
    const dist = {
      tarball: url.slice(0, -1) + path,
      shasum: createHash("sha1").update(bytes).digest("hex"),
      integrity: `sha512-${createHash("sha512").update(bytes).digest("base64")}`,
    };
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({
      name: manifest.name,
      "dist-tags": { latest: manifest.version },
      versions: { [manifest.version]: { ...manifest, dist } },
    }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
