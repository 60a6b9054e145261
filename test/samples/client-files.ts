/** Those of the client's files that a page would ask the sample for, and not get. */
export async function missingClientFiles(url: string): Promise<string[]> {
  const asked = new Set<string>();
  const missing: string[] = [];
  const ask = async (path: string): Promise<void> => {
    if (asked.has(path)) return;
    asked.add(path);
    const response = await fetch(`${url}${path}`);
    if (!response.ok) missing.push(path);
    const imports = [...(await response.text()).matchAll(/^(?:import|export|\}) .*?'(\.[^']+)';$/gm)];
    for (const [, name = ''] of imports) await ask(new URL(name, `${url}${path}`).pathname);
  };
  await ask('/pxl/client/browser.js');
  if (asked.size < 10) throw new Error(`The client has more files than ${[...asked].join()}.`);
  return missing;
}
