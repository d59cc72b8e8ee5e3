// Python with rnnspec, for a worker or Node. Text crosses the border as JSON, in which even half of
// a surrogate pair arrives as it was.

import { loadPyodide } from "pyodide";

export const FOLDER = "/playground";
const BOOT = `
import json
import os

os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
import rnnspec_playground as playground

def call(name, arguments):
    return json.dumps(getattr(playground, name)(*json.loads(arguments)))

call
`;

// Returns Python with the packages of an archive, none of them imported.
export async function load(settings, archive) {
  const [python, content] = await Promise.all([loadPyodide(settings), archive]);
  python.unpackArchive(content, "zip", { extractDir: FOLDER });
  python.runPython(`import sys; sys.path.append("${FOLDER}")`);
  return python;
}

// The first answer imports most of rnnspec, which takes seconds on a slow machine.
const WARMING = "version: 1\nname: net\ninput: {features: 1}\nrnn: {type: lstm, units: 1}\n";

// Returns a function that calls a function of rnnspec_playground by its name. It has answered once.
export async function start(settings, archive) {
  const python = await load(settings, archive);
  const call = python.runPython(BOOT);
  call("answer", JSON.stringify([WARMING]));
  return (name, given) => JSON.parse(call(name, JSON.stringify(given)));
}
