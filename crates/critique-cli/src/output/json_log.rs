//! News of a run as JSON lines on standard error: for clusters, and for other programs.

use critique_trainer::{Event, Observer};
use serde_json::{Value, json};

use crate::output::out;

/// Hears a run and writes a line for each piece of news.
#[derive(Debug, Default)]
pub(crate) struct JsonLog;

impl Observer for JsonLog {
    fn on(&mut self, event: &Event<'_>) {
        if let Some(line) = line(event) {
            out::tell(line.to_string());
        }
    }
}

/// The line of an event: what it is as `event`, and its fields.
fn line(event: &Event<'_>) -> Option<Value> {
    Some(match event {
        Event::StageStart {
            stage,
            index,
            stages,
            done,
            steps,
        } => json!({
            "event": "stage_start", "stage": stage, "index": index, "stages": stages,
            "done": done, "steps": steps,
        }),
        Event::ReplayStart { stage, done, steps } => {
            json!({ "event": "replay_start", "stage": stage, "done": done, "steps": steps })
        }
        // The stage is among the numbers, as in the file of metrics.
        Event::Step { metrics, .. } => {
            let mut line = json!({ "event": "step" });
            for (name, value) in *metrics {
                line[name] = value.clone();
            }
            line
        }
        Event::StageSkipped { stage } => json!({ "event": "stage_skipped", "stage": stage }),
        Event::StageEnd { stage, peak_bytes } => {
            json!({ "event": "stage_end", "stage": stage, "peak_bytes": peak_bytes })
        }
        Event::EvalStart { name, problems } => {
            json!({ "event": "eval_start", "row": name, "problems": problems })
        }
        Event::EvalEnd { row } => json!({ "event": "eval_end", "row": row }),
        Event::GateMet {
            stage,
            measure,
            value,
            at_least,
        } => json!({
            "event": "gate_met", "stage": stage, "measure": measure, "value": value,
            "at_least": at_least,
        }),
        Event::Note { text } => json!({ "event": "note", "text": text }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_its_numbers_and_a_note_is_one_line() {
        let metrics = json!({ "step": 3, "stage": "sft", "loss": 0.5 });
        let metrics = metrics.as_object().unwrap();
        let event = Event::Step {
            stage: "sft",
            done: 3,
            metrics,
        };
        let wanted = json!({ "event": "step", "step": 3, "stage": "sft", "loss": 0.5 });
        assert_eq!(line(&event), Some(wanted));
        let text = "two\nlines \u{1b}[2J";
        let told = line(&Event::Note { text }).unwrap().to_string();
        assert!(!told.contains(['\n', '\u{1b}']), "{told}");
    }
}
