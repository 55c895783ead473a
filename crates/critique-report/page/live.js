// A page that follows runs: what is new is drawn in place of what was there.

const AT_MOST_EVERY = 2000;

// Says what went wrong where a person sees it.
function told(error) {
  const status = document.getElementById("live");
  if (status) {
    status.textContent = visible(String(error.message || error));
  }
}

function followRuns() {
  const status = document.getElementById("live");
  const events = new EventSource(reader.source.events);
  let [asked, busy] = [false, false];
  const drawn = new Map();
  const work = async () => {
    if (busy || !asked || document.hidden) return;
    [asked, busy] = [false, true];
    try {
      takeIn(await reader.source.update(), drawn);
      await rolloutsCame();
      status.textContent = `Live. Drawn at ${new Date().toLocaleTimeString("en-GB")}.`;
    } catch (error) {
      told(error);
    }
    setTimeout(() => { busy = false; work(); }, AT_MOST_EVERY);
  };
  events.addEventListener("open", () => { status.textContent = "Live."; });
  events.addEventListener("changed", () => { asked = true; work(); });
  events.addEventListener("error", () => { status.textContent = "The board does not answer; this is what it told last."; });
  document.addEventListener("visibilitychange", work);
}

// `parts` are made by who made this page, with all text escaped.
function takeIn({ data, parts }, drawn) {
  const stages = () => JSON.stringify(RUNS.map((run) => [run.label, run.stages.map((stage) => stage.name)]));
  const before = stages();
  const { runs, evaluations, steps_a_point } = JSON.parse(data);
  RUNS.splice(0, RUNS.length, ...runs);
  Object.assign(DATA, { evaluations, steps_a_point });
  for (const [id, html] of Object.entries(parts)) {
    if (drawn.get(id) !== html) {
      drawn.set(id, html);
      document.getElementById(id).innerHTML = html;
    }
  }
  if (stages() !== before) {
    curvesControls();
  }
  if (document.getElementById("evaluation-picture")) {
    drawEvaluation();
  } else {
    evaluationPlot();
  }
  drawCurves();
}

// The list grows where it stands; what is read stays.
async function rolloutsCame() {
  await reader.opening;
  const choices = await reader.source.choices();
  if (choices.total === reader.choices.total) return;
  const bar = document.querySelector(".filters");
  if (!bar) {
    reader.opening = openReader();
    await reader.opening;
    return;
  }
  const places = JSON.stringify(reader.choices.places);
  reader.choices = choices;
  if (JSON.stringify(choices.places) !== places && !bar.contains(document.activeElement)) {
    bar.replaceWith(filterBar());
  }
  await load(reader.page);
}
