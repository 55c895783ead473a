//! Events of TensorBoard (`tensorboard/compat/proto/{event,summary,tensor}.proto`, and
//! `plugins/hparams/plugin_data.proto`).

use super::proto::Message;
use crate::settings::Setting;

/// `DataType.DT_STRING`.
const STRING: u64 = 7;

/// `DataClass.DATA_CLASS_SCALAR` and `DATA_CLASS_TENSOR`.
const SCALARS: u64 = 1;
const TENSORS: u64 = 2;

/// The tags that hold hyperparameters and the end of a run.
const SETTINGS: &str = "_hparams_/session_start_info";
const END: &str = "_hparams_/session_end_info";

/// The first event of a file.
pub(crate) fn version(time: f64) -> Vec<u8> {
    let event = Message::default().double(1, time);
    event.text(3, "brain.Event:2").into_bytes()
}

/// Says that events from this step on, in files before this one, no longer count.
pub(crate) fn start(time: f64, step: usize) -> Vec<u8> {
    let status = Message::default().int(1, 1);
    let event = Message::default().double(1, time).int(2, step as u64);
    event.message(7, &status).into_bytes()
}

pub(crate) fn scalar(time: f64, step: usize, tag: &str, value: f64) -> Vec<u8> {
    let metadata = plugin("scalars", SCALARS, &[]);
    let value = Message::default()
        .text(1, tag)
        .float(2, value as f32)
        .message(9, &metadata);
    summary(time, step, &value)
}

/// A text in Markdown.
pub(crate) fn text(time: f64, step: usize, tag: &str, markdown: &str) -> Vec<u8> {
    let one = Message::default().int(1, 1);
    let tensor = Message::default()
        .int(1, STRING)
        .message(2, &Message::default().message(2, &one))
        .text(8, markdown);
    let value = Message::default()
        .text(1, tag)
        .message(8, &tensor)
        .message(9, &plugin("text", TENSORS, &[]));
    summary(time, step, &value)
}

/// What the hyperparameter view shows of a run.
pub(crate) fn settings(time: f64, name: &str, settings: &[(String, Setting)]) -> Vec<u8> {
    let mut start = Message::default();
    for (key, setting) in settings {
        let value = match setting {
            Setting::Number(value) => Message::default().double(2, *value),
            Setting::Text(text) => Message::default().text(3, text),
            Setting::Bool(value) => Message::default().int(4, u64::from(*value)),
        };
        let entry = Message::default().text(1, key).message(2, &value);
        start = start.message(1, &entry);
    }
    let start = start.text(4, name).double(5, time);
    of_run(time, SETTINGS, 3, &start)
}

/// The run has ended: well, or not.
pub(crate) fn end(time: f64, well: bool) -> Vec<u8> {
    let status = if well { 1 } else { 2 };
    let end = Message::default().int(1, status).double(2, time);
    of_run(time, END, 4, &end)
}

/// Something of the hyperparameter view: all of it is in the metadata, the value is empty.
fn of_run(time: f64, tag: &str, field: u32, content: &Message) -> Vec<u8> {
    let data = Message::default().int(1, 0).message(field, content);
    let tensor = Message::default().int(1, 1).message(2, &Message::default());
    let value = Message::default()
        .text(1, tag)
        .message(8, &tensor.bytes(5, &[0; 4]))
        .message(9, &plugin("hparams", TENSORS, &data.into_bytes()));
    summary(time, 0, &value)
}

fn plugin(name: &str, class: u64, content: &[u8]) -> Message {
    let data = Message::default().text(1, name).bytes(2, content);
    Message::default().message(1, &data).int(4, class)
}

fn summary(time: f64, step: usize, value: &Message) -> Vec<u8> {
    let summary = Message::default().message(1, value);
    let event = Message::default().double(1, time).int(2, step as u64);
    event.message(5, &summary).into_bytes()
}
