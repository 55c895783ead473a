//! Chat templates: Jinja as transformers 5 renders it, within a budget of steps, memory and time.

mod budget;
mod clock;
mod plain;
mod python;
mod slots;
mod source;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use critique_core::{Message, Role};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, escape_formatter};
use minijinja_contrib::pycompat::unknown_method_callback;

use self::clock::{Clock, strftime};
use self::python::{python_float, to_json};
use self::slots::Slots;
pub(crate) use self::slots::{Piece, Skeleton};
use crate::error::TextError;

const NAME: &str = "chat_template";

/// A compiled chat template.
pub(crate) struct ChatTemplate {
    source: String,
    environment: Arc<Environment<'static>>,
    clock: Clock,
    /// Whether it needs no watch.
    plain: bool,
    /// What the template itself writes, by what that depends on.
    skeletons: Mutex<HashMap<ChatShape, Arc<Skeleton>>>,
}

/// All that a chat with slots for its contents depends on: roles, and which contents are empty;
/// the name of the slots; the date and time; whether the model's turn begins.
type ChatShape = (Vec<(Role, bool)>, String, u64, bool);

/// Most shapes of chats that are kept; those of a run are a few.
const SHAPES: usize = 64;

impl ChatTemplate {
    pub(crate) fn new(source: &str) -> Result<Self, TextError> {
        if source.len() > budget::LONGEST {
            let message = format!(
                "the chat template has {} bytes, more than its budget of {}",
                source.len(),
                budget::LONGEST
            );
            return Err(TextError::Other { message });
        }
        let prepared = source::prepared(source);
        let plain = plain::is_plain(&prepared);
        let clock = Clock::now();
        let asked = clock.clone();
        let environment = budget::within("reading the chat template", move || {
            let mut environment = environment(asked)?;
            environment.add_template_owned(NAME, prepared)?;
            Ok(environment)
        })?;
        Ok(Self {
            source: source.to_owned(),
            environment: Arc::new(environment),
            clock,
            plain,
            skeletons: Mutex::default(),
        })
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The date and time that the template is given, in seconds since 1970-01-01 UTC.
    pub(crate) fn time(&self) -> u64 {
        self.clock.secs()
    }

    pub(crate) fn set_time(&self, secs: u64) {
        self.clock.set(secs);
    }

    /// The text of a chat. `variables` are what the template sees beside the messages.
    pub(crate) fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        variables: &[(&'static str, Value)],
    ) -> Result<String, TextError> {
        let bytes = messages.iter().map(|it| it.content.len()).sum();
        let messages = messages.iter().map(message_value).collect();
        self.render_values((messages, bytes), add_generation_prompt, variables)
    }

    /// [`ChatTemplate::render`] of messages of so many bytes.
    fn render_values(
        &self,
        (messages, bytes): (Value, usize),
        add_generation_prompt: bool,
        variables: &[(&'static str, Value)],
    ) -> Result<String, TextError> {
        let environment = self.with_steps_for(bytes);
        let variables = variables.to_vec();
        let work = move || {
            let fixed = [
                ("messages", messages),
                ("tools", Value::from(())),
                ("documents", Value::from(())),
                ("add_generation_prompt", Value::from(add_generation_prompt)),
            ];
            let context = Value::from_pairs(fixed.into_iter().chain(variables));
            environment.get_template(NAME)?.render(context)
        };
        let what = "rendering the chat template";
        if self.plain {
            return budget::alone(what, work);
        }
        budget::within(what, work)
    }

    /// The environment with steps for messages of so many bytes.
    fn with_steps_for(&self, bytes: usize) -> Arc<Environment<'static>> {
        const FEW: usize = 1 << 18;
        if bytes <= FEW {
            return Arc::clone(&self.environment);
        }
        let mut environment = Environment::clone(&self.environment);
        environment.set_fuel(Some(budget::STEPS + bytes as u64));
        Arc::new(environment)
    }

    /// The chat with a slot in place of each content: what the template itself writes.
    pub(crate) fn skeleton(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        variables: &[(&'static str, Value)],
    ) -> Result<Arc<Skeleton>, TextError> {
        let slots = Slots::unlike(messages);
        let roles = messages.iter().map(|it| (it.role, it.content.is_empty()));
        let start = slots.start().to_owned();
        let shape = (roles.collect(), start, self.time(), add_generation_prompt);
        if let Some(known) = self.skeletons().get(&shape) {
            return Ok(Arc::clone(known));
        }
        let text = self.render(&slots.fill(messages), add_generation_prompt, variables)?;
        let skeleton = Arc::new(Skeleton { text, slots });
        let mut known = self.skeletons();
        if known.len() >= SHAPES {
            known.clear();
        }
        known.insert(shape, Arc::clone(&skeleton));
        Ok(skeleton)
    }

    fn skeletons(&self) -> MutexGuard<'_, HashMap<ChatShape, Arc<Skeleton>>> {
        // What is in it is whole, whoever panicked.
        self.skeletons
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn message_value(message: &Message) -> Value {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    Value::from_pairs([("role", role), ("content", &message.content)])
}

fn environment(clock: Clock) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.set_fuel(Some(budget::STEPS));
    environment.set_formatter(|out, state, value| {
        if value.is_number() && !value.is_integer() {
            let text = python_float(f64::try_from(value.clone())?);
            return out.write_str(&text).map_err(Error::from);
        }
        pay_for_lists(state, value)?;
        escape_formatter(out, state, value)
    });
    environment.set_unknown_method_callback(|state, value, method, arguments| {
        for value in arguments.iter().chain([value]) {
            pay_for_lists(state, value)?;
        }
        if method == "format" {
            refuse_wide(value.as_str().unwrap_or_default())?;
        }
        unknown_method_callback(state, value, method, arguments)
    });
    // `none` is iterable to minijinja, and templates ask so of `tools`.
    environment.add_test("iterable", |value: &Value| {
        !value.is_none() && value.try_iter().is_ok()
    });
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", move |format: &str| {
        strftime(clock.secs(), format)
    });
    // It writes out all that there is; Jinja2 has it in an extension that nothing loads.
    environment.remove_global("debug");
    Ok(environment)
}

/// Pays for a value that may hold others, as far as they would be written.
fn pay_for_lists(state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable => budget::pay_for(state, value, 0),
        _ => Ok(()),
    }
}

/// Refuses a format that asks for wide fields: `str.format` makes them before anyone pays.
fn refuse_wide(format: &str) -> Result<(), Error> {
    const MOST: usize = 4;
    let numbers = format.split(|it: char| !it.is_ascii_digit());
    match numbers.into_iter().find(|it| it.len() > MOST) {
        Some(number) => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("a format asks for a width or place of {number}; at most 9999 will do"),
        )),
        None => Ok(()),
    }
}

/// The template's own words for what it refuses, as a terminal may show them.
fn raise_exception(message: &str) -> Result<Value, Error> {
    const MOST: usize = 1000;
    let mut shown = String::new();
    for letter in message.chars().take(MOST) {
        if letter.is_control() && !matches!(letter, '\n' | '\t') {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    Err(Error::new(ErrorKind::InvalidOperation, shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/chat");

    fn golden_cases() -> Vec<serde_json::Value> {
        let lines = std::fs::read_to_string(format!("{GOLDEN}/cases.jsonl")).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Renders what may hold more than texts, as transformers' messages may.
    fn render_case(case: &serde_json::Value) -> Result<String, String> {
        let name = case["template"].as_str().unwrap();
        let source = std::fs::read_to_string(format!("{GOLDEN}/templates/{name}.jinja")).unwrap();
        let mut template = ChatTemplate::new(&source).map_err(|error| chain(&error))?;
        let mut context = vec![("tools".to_owned(), &case["tools"])];
        for (name, value) in case["variables"].as_object().unwrap() {
            if name == "strftime_now" {
                let environment = Arc::get_mut(&mut template.environment).unwrap();
                environment.remove_global(name);
            } else {
                context.push((name.clone(), value));
            }
        }
        let variables: Vec<_> = context
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (&*name.leak(), Value::from(minijinja::value::Serde(value))))
            .collect();
        let mut messages = case["messages"].clone();
        for message in messages.as_array_mut().unwrap() {
            // As transformers does; our messages always have a text.
            if message["content"].is_null() {
                message["content"] = "".into();
            }
        }
        let messages = Value::from(minijinja::value::Serde(messages));
        let add_generation_prompt = case["add_generation_prompt"].as_bool().unwrap();
        template
            .render_values((messages, 0), add_generation_prompt, &variables)
            .map_err(|error| chain(&error))
    }

    fn chain(error: &(dyn std::error::Error + 'static)) -> String {
        let causes = std::iter::successors(Some(error), |&error| error.source());
        let texts: Vec<_> = causes.map(ToString::to_string).collect();
        texts.join(": ")
    }

    #[test]
    fn templates_render_as_in_transformers() {
        let mut wrong = Vec::new();
        for (i, case) in golden_cases().iter().enumerate() {
            let name = case["template"].as_str().unwrap();
            let found = render_case(case);
            let fits = match (&found, case["text"].as_str()) {
                (Ok(text), Some(wanted)) => text == wanted,
                (Err(_), None) if case["kind"] != "TemplateError" => true,
                (Err(error), None) => error.contains(case["error"].as_str().unwrap()),
                _ => false,
            };
            if !fits {
                let wanted = case.get("text").unwrap_or(&case["error"]);
                wrong.push(format!("{i} {name}: {found:?}\n  wanted {wanted:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// What templates in the field lean on and the golden files do not show; texts by Jinja2.
    #[test]
    fn corners_of_jinja_render_as_in_python() {
        let chat = [
            Message::user(" hey <w> & \"q\" é "),
            Message::assistant("ok"),
        ];
        let cases = [
            (
                "{{ tools is iterable }} {{ messages is iterable }} {{ 3 is iterable }}",
                "False True False",
            ),
            (
                "{% if tools is iterable and tools | length > 0 %}t{% else %}n{% endif %}",
                "n",
            ),
            (
                "{{ tools is none }} {{ documents is none }} {{ bos_token is defined }}",
                "True True False",
            ),
            (
                "{% for c in messages[1].content %}{{ c['type'] is defined }}{% endfor %}",
                "FalseFalse",
            ),
            (
                "{% set ns = namespace(t='a '\n 'b' 'c') %}{{ ns.t }}",
                "a bc",
            ),
            (
                "{{ messages[0]['content']\n  .replace('w', 'W')\n  .strip() }}",
                "hey <W> & \"q\" é",
            ),
            (
                "{% set f = [] %}{% for m in messages %}{% set f = f + [m] %}{{ f | length }}{% endfor %}",
                "11",
            ),
            (
                "{% set o = {'o': '<', 'n': 1.0} | tojson %}{{ o[:-1] }}|{{ o | safe }}|{{ o ~ '<' }}",
                "{\"o\": \"<\", \"n\": 1.0|{\"o\": \"<\", \"n\": 1.0}|{\"o\": \"<\", \"n\": 1.0}<",
            ),
            (
                "{{ messages[1].get('tool_calls') is none }} {{ messages[1].content is false }}",
                "True False",
            ),
            (
                "{{ messages[0].content | tojson(ensure_ascii=True) }}",
                "\" hey <w> & \\\"q\\\" \\u00e9 \"",
            ),
            (
                "{{ messages[1] | tojson(indent=2, sort_keys=True) }}",
                "{\n  \"content\": \"ok\",\n  \"role\": \"assistant\"\n}",
            ),
            ("{{ [1, 2] | tojson(separators=(',', ':')) }}", "[1,2]"),
            (
                "{{ messages[0].nope }}{{ messages[0]['nope'] | default('d') }}{{ nope }}",
                "d",
            ),
            (
                "{{ 1e20 }} {{ 2.0 }} {{ true }} {{ none }}",
                "1e+20 2.0 True None",
            ),
        ];
        for (source, wanted) in cases {
            let template = ChatTemplate::new(source).unwrap();
            let found = template.render(&chat, false, &[]);
            assert_eq!(
                found.map_err(|error| chain(&error)).as_deref(),
                Ok(wanted),
                "{source}"
            );
        }
        for source in [
            "{{ nope.sub }}",
            "{{ nope % 2 }}",
            "{{ messages[9].role }}",
            "{{ nope | tojson }}",
        ] {
            let template = ChatTemplate::new(source).unwrap();
            assert!(template.render(&chat, false, &[]).is_err(), "{source}");
        }
    }
}
