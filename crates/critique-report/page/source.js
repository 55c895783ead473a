// Where rollouts come from: this page, which holds some, or the board that serves it, which has all.

const LIVE = DATA.live || null;

// A rollout's name among all: its run, its evaluation, its id.
function keyOf(rollout) {
  return rollout ? `${rollout.run} ${rollout.row ?? ""} ${rollout.id}` : "";
}

function pageSource() {
  const all = DATA.rollouts.list;
  let last = { key: null, found: [] };
  const search = (filters, sort) => {
    const key = JSON.stringify([filters, sort]);
    if (last.key !== key) {
      last = { key, found: sorted(passing(all, filters), sort) };
    }
    return last.found;
  };
  const detail = (rollout) => ({
    rollout,
    siblings: all.filter((other) => groupOf(other) === groupOf(rollout)),
    ...momentsOf(all, rollout),
  });
  return {
    choices: async () => ({ total: all.length, places: [...new Set(all.map(placeOf))], problems: [...new Set(all.map((it) => it.problem))].sort() }),
    search: async (filters, sort, from, many) => {
      const found = search(filters, sort);
      return { total: all.length, found: found.length, list: found.slice(from, from + many) };
    },
    detail: async (rollout) => detail(rollout),
    find: async (link) => {
      const fits = (rollout) => rollout.id === link.id
        && (link.row === undefined || rollout.row === link.row)
        && (link.run === undefined || RUNS[rollout.run].label === link.run);
      const rollout = all.find(fits);
      return rollout ? detail(rollout) : null;
    },
    place: (rollout, filters, sort) => search(filters, sort).indexOf(rollout),
  };
}

// The same problem at other moments: one rollout of each.
function momentsOf(all, rollout) {
  const moments = new Map();
  for (const other of all.filter((other) => other.problem === rollout.problem)) {
    const moment = `${other.run} ${momentOf(other)}`;
    if (!moments.has(moment) || other === rollout) {
      moments.set(moment, other);
    }
  }
  return { moments: [...moments.values()], all_moments: moments.size };
}

function passing(all, f) {
  const words = f.text.toLowerCase();
  const texts = new Set();
  if (words) {
    DATA.rollouts.texts.list.forEach((text, at) => {
      if (text.toLowerCase().includes(words)) texts.add(at);
    });
  }
  const says = (r) => !words || r.id.toLowerCase().includes(words)
    || [r.question, r.response, r.critique, ...r.refinements.map((it) => it.text)].some((text) => texts.has(text));
  const within = (value, from, to) => (from === "" || value >= Number(from)) && (to === "" || value <= Number(to));
  const tests = [
    [f.run, (r) => r.run === Number(f.run)],
    [f.place, (r) => placeOf(r) === f.place],
    [f.problem, (r) => r.problem === f.problem],
    [f.response, (r) => (f.response === "not" ? !isRight(r.verdict) : r.verdict === f.response)],
    [f.judgment, (r) => claimOf(r) === f.judgment],
    [f.judged, (r) => r.judged_rightly === (f.judged === "rightly")],
    [f.transition, (r) => (f.transition === "none" ? !r.refinements.length : transitionsOf(r).includes(f.transition))],
    [f.stepFrom + f.stepTo, (r) => r.row === undefined && within(r.step + 1, f.stepFrom, f.stepTo)],
    [f.rewardFrom + f.rewardTo, (r) => r.row === undefined && within(r.reward, f.rewardFrom, f.rewardTo)],
  ].filter(([set]) => set !== "").map(([, test]) => test);
  return all.filter((rollout) => tests.every((test) => test(rollout)) && says(rollout));
}

function sorted(found, sort) {
  const orders = { up: (a, b) => a.reward - b.reward, down: (a, b) => b.reward - a.reward, advantage: (a, b) => Math.abs(b.advantage) - Math.abs(a.advantage) };
  return orders[sort] ? found.sort(orders[sort]) : found;
}

function boardSource() {
  const runs = LIVE.runs.map((run) => ["run", run]);
  const ask = async (path, pairs) => {
    const set = pairs.filter(([, value]) => value !== "" && value !== undefined);
    const answer = await fetch(`${path}?${new URLSearchParams([...runs, ...set])}`);
    if (answer.status === 404 && path === "/rollout") return null;
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  };
  const find = ({ id, row, run }) => ask("/rollout", [["id", id], ["row", row], ["of", run]]);
  return {
    choices: () => ask("/choices", []),
    search: (filters, sort, from, many) => {
      const { run, ...others } = filters;
      return ask("/rollouts", [...Object.entries(others), ["only", run], ["sort", sort], ["from", from], ["count", many]]);
    },
    detail: (rollout) => find({ id: rollout.id, row: rollout.row, run: RUNS[rollout.run].label }),
    find,
    update: () => ask("/data", []),
    events: `/events?${new URLSearchParams(runs)}`,
    // Only a search would tell.
    place: () => -1,
  };
}
