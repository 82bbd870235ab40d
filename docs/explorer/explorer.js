// The page around explorer.py: it loads Python, hands over what the user does, and shows what comes
// back. No number is computed here.

const at = (id) => document.getElementById(id);
const TABS = { torch: "PyTorch", keras: "Keras", jax: "JAX, optax", record: "Record (JSON)" };
const KEYS = {
  ArrowRight: ["keys", 1], ArrowUp: ["keys", 1], ArrowLeft: ["keys", -1], ArrowDown: ["keys", -1],
  PageUp: ["keys", 10], PageDown: ["keys", -10], Home: ["edge", 0], End: ["edge", 1],
};
const PAUSE = 250; // Milliseconds without a key until a field is read.

let page; // explorer.Page
let shown; // What it last returned.
let tab = "torch";
let log; // The file that was dropped: its name and bytes.

function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function tell(element, text) {
  element.textContent = text ?? "";
  element.hidden = !text;
}

// Loading.

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

// Counts what is fetched while `action` runs, by Pyodide too, and names what can't be: Pyodide itself
// would wait for its WebAssembly forever.
async function counting(action) {
  const fetched = globalThis.fetch;
  let bytes = 0;
  let fail;
  const failure = new Promise((_, reject) => (fail = reject));
  globalThis.fetch = async (...request) => {
    const name = String(request[0].url ?? request[0]).split("/").pop();
    const failed = (error) => fail(new Error(`${name} can't be loaded (${error.message})`));
    try {
      const response = await fetched(...request);
      if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
      const count = new TransformStream({
        transform(chunk, next) {
          bytes += chunk.byteLength;
          at("progress").value = bytes;
          next.enqueue(chunk);
        },
      });
      response.body.pipeTo(count.writable).catch(failed);
      return new Response(count.readable, response);
    } catch (error) {
      failed(error);
      throw error;
    }
  };
  try {
    return await Promise.race([failure, action()]);
  } finally {
    globalThis.fetch = fetched;
  }
}

async function start() {
  if (typeof WebAssembly !== "object") {
    throw new Error("this browser has no WebAssembly, or it is switched off");
  }
  const python = await counting(async () => {
    const built = await (await fetch("explorer.json")).json();
    const total = built.files.reduce((sum, file) => sum + file.bytes, 0);
    at("progress").max = total;
    at("status").textContent =
      `Loading ${megabytes(total)} from this site, once: the browser keeps it. Then Python starts.`;
    at("loaded").replaceChildren(
      ...built.files.map((file) => made("li", {}, `${megabytes(file.bytes)}  ${file.what}`)),
    );
    at("progress").hidden = at("loaded").hidden = false;
    const { loadPyodide } = await import("./pyodide/pyodide.mjs");
    const [pyodide, wheel, ...modules] = await Promise.all([
      // No packages: there is nothing that could be loaded from elsewhere.
      loadPyodide({ lockFileContents: built.lock }),
      fetch(built.wheel).then((response) => response.arrayBuffer()),
      ...built.modules.map((name) => fetch(name).then((response) => response.text())),
    ]);
    pyodide.unpackArchive(wheel, "wheel");
    built.modules.forEach((name, i) => pyodide.FS.writeFile(`/home/pyodide/${name}`, modules[i]));
    return pyodide;
  });
  page = python.pyimport("explorer").Page();
  page.toPython = (bytes) => python.toPy(bytes);
  at("loading").hidden = true;
  document.querySelector("main").hidden = false;
  listen();
  show(page.opened(location.hash, width()));
  return { python, page };
}

// Showing.

const width = () => at("picture").clientWidth;

function act(method, ...given) {
  let json;
  try {
    json = page[method](...given);
  } catch (error) {
    const last = error.message.trim().split("\n").pop();
    tell(at("problem"), `An error in the explorer itself, please report it: ${last}`);
    return;
  }
  show(json);
}

function show(json) {
  const before = shown?.address;
  shown = JSON.parse(json);
  tell(at("unread"), shown.unread);
  at("curves").innerHTML = shown.picture;
  showHandles(shown.handles);
  showForm(at("schedule"), shown.form);
  showForm(at("view"), shown.view);
  showError(shown.error);
  at("stale").hidden = !shown.stale;
  document.body.classList.toggle("is-stale", shown.stale);
  at("now").textContent = shown.now;
  at("name").textContent = shown.name;
  at("notes").replaceChildren(...shown.notes.map((note) => made("li", {}, note)));
  at("notes").hidden = !shown.notes.length;
  at("code").textContent = shown.code[tab];
  showVerdict(shown.verdict);
  // Only a change: another link may be on its way here while the same schedule is shown again.
  if (shown.address !== before) at("copied").textContent = "";
  if (!shown.unread && shown.address !== before) history.replaceState(null, "", `#${shown.address}`);
}

function showHandles(handles) {
  const place = at("handles");
  const ids = handles.map((handle) => handle.id).join(" ");
  if (place.dataset.ids !== ids) {
    const focused = place.contains(document.activeElement) && document.activeElement.dataset.id;
    place.dataset.ids = ids;
    place.replaceChildren(...handles.map(handleOf));
    if (focused) [...place.children].find((each) => each.dataset.id === focused)?.focus();
  }
  handles.forEach((handle, i) => {
    const element = place.children[i];
    element.style.left = `${handle.left}px`;
    element.style.top = `${handle.top}px`;
    for (const name of ["min", "max", "now"]) element.setAttribute(`aria-value${name}`, handle[name]);
    element.setAttribute("aria-valuetext", handle.text);
    element.title = `${handle.label}: ${handle.text}`;
  });
}

function handleOf(handle) {
  let place = null;
  const move = () => {
    if (place !== null) act("moved", handle.id, "place", place);
    place = null;
  };
  return made("div", {
    role: "slider",
    tabindex: 0,
    class: `handle ${handle.kind}`,
    "data-id": handle.id,
    "aria-label": handle.label,
    "aria-orientation": handle.orientation,
    keydown(event) {
      const key = KEYS[event.key];
      if (!key || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act("moved", handle.id, ...key);
    },
    pointerdown(event) {
      if (event.button) return;
      event.preventDefault();
      this.focus();
      this.setPointerCapture(event.pointerId);
    },
    pointermove(event) {
      if (!this.hasPointerCapture(event.pointerId)) return;
      const box = at("picture").getBoundingClientRect();
      if (place === null) requestAnimationFrame(move);
      place = handle.orientation === "horizontal" ? event.clientX - box.left : event.clientY - box.top;
    },
    lostpointercapture() {
      move();
      act("released");
    },
  });
}

// The form is built again if other fields are asked for; otherwise only values change, so that the
// cursor stays where it is.
function showForm(place, nodes) {
  const skeleton = JSON.stringify(nodes, (key, value) => (key === "value" ? undefined : value));
  if (place.dataset.skeleton !== skeleton) {
    const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
    place.dataset.skeleton = skeleton;
    place.replaceChildren(...nodes.map(nodeOf));
    if (focused) (at(focused) ?? at("schedule").querySelector("select")).focus();
  }
  update(nodes);
}

function update(nodes) {
  for (const node of nodes) {
    if (node.nodes) update(node.nodes);
    const input = at(node.path);
    if (node.type === "check") input.checked = node.value;
    else if ("value" in node && input.value !== node.value) input.value = node.value;
  }
}

function nodeOf(node) {
  if (node.type === "action") {
    return made(
      "button",
      { type: "button", id: node.action, click: () => act("acted", node.action) },
      node.label,
    );
  }
  if (node.type === "group") {
    return made(
      "fieldset",
      { class: node.row ? "row" : "group" },
      made("legend", {}, node.label),
      made("p", { class: "error", id: `${node.path} error`, role: "alert", hidden: true }),
      ...node.nodes.map(nodeOf),
    );
  }
  const id = node.path;
  const about = { id, "aria-describedby": `${id.replaceAll(" ", "")}-hint` };
  let timer;
  const read = (event) => {
    clearTimeout(timer);
    const value = node.type === "check" ? event.target.checked : event.target.value;
    act("changed", node.path, value);
  };
  const input =
    node.type === "select"
      ? made("select", { ...about, change: read }, ...node.options.map((each) => made("option", {}, each)))
      : node.type === "check"
        ? made("input", { ...about, type: "checkbox", change: read })
        : made("input", {
            ...about,
            type: "text",
            spellcheck: "false",
            placeholder: node.placeholder,
            inputmode: node.path.endsWith("scale_fn") ? undefined : "text",
            input(event) {
              clearTimeout(timer);
              timer = setTimeout(read, PAUSE, event);
            },
            change: read,
          });
  return made(
    "div",
    { class: `field ${node.type}` },
    made("label", { for: id }, node.label),
    input,
    made("p", { class: "hint", id: `${id}-hint` }, node.hint),
    made("p", { class: "error", id: `${id} error`, role: "alert", hidden: true }),
  );
}

function showError(error) {
  for (const each of at("form").querySelectorAll(".error")) {
    const here = error && each.id === `${error.path} error`;
    tell(each, here ? error.message : "");
    at(each.id.slice(0, -" error".length))?.setAttribute("aria-invalid", Boolean(here));
  }
  tell(at("problem"), error && !at(`${error.path} error`) ? error.message : "");
}

function showVerdict(verdict) {
  at("verdict").hidden = !verdict;
  if (!verdict) return;
  at("verdict").className = verdict.status;
  at("sentence").textContent = [verdict.sentence, verdict.notes].filter(Boolean).join("\n");
  at("command").textContent = verdict.old
    ? "This was said of another schedule: check again."
    : `The same in a terminal: ${verdict.command}`;
}

function choose(name) {
  tab = name;
  for (const each of at("tabs").children) {
    each.setAttribute("aria-selected", each.dataset.tab === name);
    each.tabIndex = each.dataset.tab === name ? 0 : -1;
  }
  at("code").setAttribute("aria-labelledby", `tab-${name}`);
  at("code").textContent = shown?.code[name] ?? "";
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    at("copied").textContent = `${what} copied`;
  } catch {
    at("copied").textContent = `${what} can't be copied: this browser refuses it`;
  }
}

// A run's log.

async function take(file) {
  log = { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) };
  await check();
}

async function check() {
  if (!log) return;
  at("verdict").hidden = false;
  at("verdict").className = "";
  at("sentence").textContent = `Checking ${log.name} …`;
  at("command").textContent = "";
  await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
  const options = { per_epoch: at("per_epoch").checked };
  for (const name of ["lr_column", "step_column", "first_step"]) options[name] = at(name).value;
  act("verified", log.name, page.toPython(log.bytes), JSON.stringify(options));
}

// Listening.

function listen() {
  at("tabs").replaceChildren(
    ...Object.entries(TABS).map(([name, title]) =>
      made("button", {
        type: "button", role: "tab", id: `tab-${name}`, "data-tab": name, "aria-controls": "code",
        click: () => choose(name),
      }, title),
    ),
  );
  choose(tab);
  at("tabs").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const names = Object.keys(TABS);
    choose(names[(names.indexOf(tab) + step + names.length) % names.length]);
    at(`tab-${tab}`).focus();
  });
  at("copy").addEventListener("click", () => copy(shown.code[tab], TABS[tab]));
  at("link").addEventListener("click", () => copy(location.href, "Link"));
  addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", () => act("opened", location.hash, width()));
  let last = width();
  new ResizeObserver(() => {
    if (width() && width() !== last) act("resized", (last = width()));
  }).observe(at("picture"));

  at("file").addEventListener("change", (event) => event.target.files[0] && take(event.target.files[0]));
  for (const name of ["lr_column", "step_column", "first_step", "per_epoch"]) {
    at(name).addEventListener("change", check);
  }
  at("again").addEventListener("click", check);
  at("forget").addEventListener("click", () => {
    log = undefined;
    at("options").reset();
    act("forgotten");
    at("file").focus();
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("is-target");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("is-target");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("is-target");
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
}

export const ready = start();

ready.catch((error) => {
  at("progress").hidden = true;
  document.querySelector("main").hidden = true;
  at("loading").hidden = false;
  at("status").className = "problem";
  at("status").textContent =
    `The explorer can't start: ${error.message}. Reload the page to try again, or use the same in ` +
    "a terminal: pip install cyclical-lr, then clr plot, clr export and clr verify.";
});
