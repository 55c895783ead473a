//! Requests and their answers, without a network.

use std::sync::{Arc, Mutex};

use critique_rollout::RolloutRecord;
use serde::Serialize;

use crate::board::filter::{Filters, Hit};
use crate::board::index::{Index, IndexedFile};
use crate::board::query::Query;
use crate::board::text::Text;
use crate::board::watched::Watched;
use crate::board::{Board, locked};
use crate::page::{self, Live};
use crate::told;

type Told = told::Told<Text>;

/// Most rollouts of a list in one answer.
const A_PAGE: usize = 100;

/// Most moments of a problem in one answer, and names of problems to choose from.
const MOMENTS: usize = 64;
const PROBLEMS: usize = 2_000;

/// What a request gets.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) body: String,
    /// What the page may do: see [`page::policy`].
    pub(super) policy: Option<String>,
}

impl Answer {
    fn json(value: &impl Serialize) -> Self {
        let body = serde_json::to_string(value);
        Self {
            status: 200,
            kind: "application/json",
            body: body.unwrap_or_else(|error| unreachable!("plain data: {error}")),
            policy: None,
        }
    }

    fn page((body, nonce): (String, String)) -> Self {
        Self {
            status: 200,
            kind: "text/html; charset=utf-8",
            body,
            policy: Some(page::policy(&nonce)),
        }
    }

    /// Something that is asked for wrongly, or is not there.
    pub(super) fn fault(status: u16, why: impl Into<String>) -> Self {
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            body: why.into(),
            policy: None,
        }
    }
}

/// A search that was done.
#[derive(Debug)]
pub(super) struct Found {
    runs: Vec<String>,
    filters: Filters,
    generations: Vec<u64>,
    hits: Arc<Vec<Hit>>,
}

/// A part of what filters found.
#[derive(Serialize)]
struct Part {
    total: usize,
    found: usize,
    from: usize,
    list: Vec<Told>,
}

/// What filters can be set to.
#[derive(Serialize)]
struct Choices {
    total: usize,
    places: Vec<String>,
    problems: Vec<String>,
}

/// A rollout with all that is shown beside it.
#[derive(Serialize)]
struct Detail {
    rollout: Told,
    siblings: Vec<Told>,
    moments: Vec<Told>,
    /// Moments that there are.
    all_moments: usize,
}

impl Board {
    /// The answer to a request for this path with this query.
    pub(super) fn answer(&self, path: &str, query: &Query) -> Answer {
        let runs = query.runs();
        if path == "/" {
            return Answer::page(page::board_html(&self.names(), |name| {
                let shown = self.shown(std::slice::from_ref(name));
                page::card_of(&shown)
            }));
        }
        if !matches!(
            path,
            "/view" | "/data" | "/choices" | "/rollouts" | "/rollout"
        ) {
            return Answer::fault(404, format!("there is no `{path}` here"));
        }
        if runs.is_empty() || self.chosen(&runs).len() < runs.len() {
            return Answer::fault(
                404,
                "no such run, or none was named; `/` lists those that are there",
            );
        }
        let answer = match path {
            "/view" => Ok(self.view(&runs)),
            "/data" => Ok(Answer::json(&page::update(&self.shown(&runs)))),
            "/choices" => Ok(self.choices(&runs)),
            "/rollouts" => self.rollouts(&runs, query),
            _ => Ok(self.rollout(&runs, query)),
        };
        answer.unwrap_or_else(|why| Answer::fault(400, why))
    }

    fn view(&self, runs: &[String]) -> Answer {
        let shown = self.shown(runs);
        let live = Live {
            runs: runs.to_vec(),
        };
        Answer::page(page::html(&shown, Some(&live)))
    }

    /// The runs with their rollouts read.
    fn indexed(&self, names: &[String]) -> Vec<Arc<Mutex<Watched>>> {
        let runs = self.chosen(names);
        for run in &runs {
            locked(run).refresh_rollouts();
        }
        runs
    }

    fn choices(&self, names: &[String]) -> Answer {
        let mut choices = Choices {
            total: 0,
            places: Vec::new(),
            problems: Vec::new(),
        };
        for run in self.indexed(names) {
            let watched = locked(&run);
            let index = watched.index();
            choices.total += index.len();
            for file in index.files.iter().filter(|file| !file.entries.is_empty()) {
                let place = place(file);
                if !choices.places.contains(&place) {
                    choices.places.push(place);
                }
            }
            choices.problems.extend(index.problems.iter().cloned());
        }
        choices.problems.sort();
        choices.problems.dedup();
        choices.problems.truncate(PROBLEMS);
        Answer::json(&choices)
    }

    fn rollouts(&self, names: &[String], query: &Query) -> Result<Answer, String> {
        let (filters, (from, count)) = (query.filters()?, query.part(A_PAGE)?);
        let runs = self.indexed(names);
        let hits = self.search(names, &runs, filters);
        let total = runs.iter().map(|run| locked(run).index().len()).sum();
        let part = hits.iter().skip(from).take(count);
        let told = part.filter_map(|hit| {
            let watched = locked(&runs[hit.run as usize]);
            // What was found may be gone since.
            let file = watched.index().files.get(hit.file as usize)?;
            let (_, record) = file.records(&[hit.entry]).pop()?;
            Some(Told::brief(hit.run as usize, file.row.as_deref(), record))
        });
        Ok(Answer::json(&Part {
            total,
            found: hits.len(),
            from,
            list: told.collect(),
        }))
    }

    fn search(
        &self,
        names: &[String],
        runs: &[Arc<Mutex<Watched>>],
        filters: Filters,
    ) -> Arc<Vec<Hit>> {
        let generations: Vec<u64> = runs
            .iter()
            .map(|run| locked(run).index().generation)
            .collect();
        if let Some(last) = &*locked(&self.last)
            && last.runs == names
            && last.filters == filters
            && last.generations == generations
        {
            return Arc::clone(&last.hits);
        }
        let of_run =
            |(at, run): (usize, &Arc<Mutex<Watched>>)| filters.find(at, locked(run).index());
        let mut hits: Vec<Hit> = runs.iter().enumerate().flat_map(of_run).collect();
        filters.order.sort(&mut hits);
        let hits = Arc::new(hits);
        *locked(&self.last) = Some(Found {
            runs: names.to_vec(),
            filters,
            generations,
            hits: Arc::clone(&hits),
        });
        hits
    }

    fn rollout(&self, names: &[String], query: &Query) -> Answer {
        let Some(id) = query.get("id") else {
            return Answer::fault(400, "`id` is missing; expected the id of a rollout");
        };
        let (row, label) = (query.get("row"), query.get("of"));
        let runs = self.indexed(names);
        for (at, run) in runs.iter().enumerate() {
            if label.is_some_and(|label| label != names[at]) {
                continue;
            }
            let detail = detail(at, locked(run).index(), id, row);
            if let Some(mut detail) = detail {
                add_other_moments(&runs, at, &mut detail);
                return Answer::json(&detail);
            }
        }
        Answer::fault(404, format!("there is no rollout `{id}`"))
    }
}

/// The problem in the other runs.
fn add_other_moments(runs: &[Arc<Mutex<Watched>>], own: usize, detail: &mut Detail) {
    for (at, run) in runs.iter().enumerate().filter(|(at, _)| *at != own) {
        let watched = locked(run);
        let index = watched.index();
        if let Some(number) = index.problem(detail.rollout.problem()) {
            let (moments, all) = moments(at, index, number, None);
            detail.moments.extend(moments);
            detail.all_moments += all;
        }
    }
}

/// A rollout of a run by its id, and for evaluations its row.
fn detail(run: usize, index: &Index, id: &str, row: Option<&str>) -> Option<Detail> {
    let part_of_id = |problem: &String| id.contains(problem.as_str());
    let possible: Vec<bool> = index.problems.iter().map(part_of_id).collect();
    let name = |id: &str| {
        id.rsplit_once('.')
            .map_or(id.to_owned(), |(name, _)| name.to_owned())
    };
    for (number, file) in index.files.iter().enumerate() {
        let fits = match (&file.row, row) {
            (Some(own), Some(row)) => own == row,
            (Some(_), None) => id.starts_with("eval/"),
            (None, Some(_)) => false,
            (None, None) => id.starts_with(&format!("{}/", file.stage)),
        };
        if !fits {
            continue;
        }
        let entries = file.entries.iter().enumerate();
        let near: Vec<u32> = entries
            .filter(|(_, entry)| {
                possible[entry.problem as usize] && is_of_step(file, entry.step, id)
            })
            .map(|(at, _)| at as u32)
            .collect();
        let records = file.records(&near);
        let Some((at, own)) = records.iter().find(|(_, record)| record.id == id) else {
            continue;
        };
        let row = file.row.as_deref();
        let problem = file.entries[*at as usize].problem;
        let (moments, all_moments) = moments(run, index, problem, Some((number, *at)));
        let siblings = records
            .iter()
            .filter(|(_, record)| name(&record.id) == name(id));
        return Some(Detail {
            siblings: siblings
                .map(|(_, record)| Told::brief(run, row, record.clone()))
                .collect(),
            rollout: Told::whole(run, row, own.clone(), Text::of),
            moments,
            all_moments,
        });
    }
    None
}

/// Whether a rollout of this step can have the id, which says `STAGE/STEP/…`.
fn is_of_step(file: &IndexedFile, step: u32, id: &str) -> bool {
    file.row.is_some() || id.starts_with(&format!("{}/{step}/", file.stage))
}

/// The problem at other moments of a run: one rollout of each, from the first to the last, and how many
/// there are. The rollout that is looked at stands for its own.
fn moments(
    run: usize,
    index: &Index,
    problem: u32,
    own: Option<(usize, u32)>,
) -> (Vec<Told>, usize) {
    let moment = |(number, file): (usize, &IndexedFile)| {
        let entry = match own {
            Some((at, entry)) if at == number => Some(entry as usize),
            _ => file
                .entries
                .iter()
                .position(|entry| entry.problem == problem),
        };
        Some((number, entry? as u32))
    };
    let all: Vec<(usize, u32)> = index.files.iter().enumerate().filter_map(moment).collect();
    let last = all.len().saturating_sub(1);
    let mut places: Vec<usize> = match all.len() {
        count if count <= MOMENTS => (0..count).collect(),
        _ => (0..MOMENTS).map(|at| at * last / (MOMENTS - 1)).collect(),
    };
    let of_own = all.iter().position(|place| Some(*place) == own);
    places.extend(of_own.filter(|at| !places.contains(at)));
    places.sort_unstable();
    let told = places.into_iter().filter_map(|at| {
        let (number, entry) = all[at];
        let file = &index.files[number];
        let (_, record): (u32, RolloutRecord) = file.records(&[entry]).pop()?;
        Some(Told::whole(run, file.row.as_deref(), record, Text::of))
    });
    (told.collect(), all.len())
}

fn place(file: &IndexedFile) -> String {
    match &file.row {
        Some(row) => format!("evaluation: {row}"),
        None => file.stage.clone(),
    }
}
