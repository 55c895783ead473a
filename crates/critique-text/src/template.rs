//! Chat templates: Jinja as transformers 5 renders it.

use std::time::{SystemTime, UNIX_EPOCH};

use critique_core::{Message, Role};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, escape_formatter};
use minijinja_contrib::pycompat::unknown_method_callback;

use crate::error::TextError;

const NAME: &str = "chat_template";

/// A compiled chat template.
pub(crate) struct ChatTemplate {
    source: String,
    environment: Environment<'static>,
}

/// A piece of a rendered chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Written by the template.
    Template(&'a str),
    /// The content of a message.
    Content(&'a str),
}

impl ChatTemplate {
    pub(crate) fn new(source: &str) -> Result<Self, TextError> {
        if has_generation_tag(source) {
            return Err(TextError::Other {
                message: "the chat template has a `{% generation %}` tag, which is not \
                          supported; take out this tag and `{% endgeneration %}`, the text \
                          stays the same"
                    .to_owned(),
            });
        }
        let mut environment = environment().map_err(refused("setting up the chat template"))?;
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(refused("reading the chat template"))?;
        Ok(Self {
            source: source.to_owned(),
            environment,
        })
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The text of a chat. `variables` are what the template sees beside the messages.
    pub(crate) fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        variables: &[(&'static str, Value)],
    ) -> Result<String, TextError> {
        let messages = messages.iter().map(message_value).collect();
        self.render_values(messages, add_generation_prompt, variables)
            .map_err(refused("rendering the chat template"))
    }

    fn render_values(
        &self,
        messages: Value,
        add_generation_prompt: bool,
        variables: &[(&'static str, Value)],
    ) -> Result<String, Error> {
        let fixed = [
            ("messages", messages),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
        ];
        let context = Value::from_pairs(fixed.into_iter().chain(variables.iter().cloned()));
        self.environment.get_template(NAME)?.render(context)
    }

    /// The chat with a slot in place of each content: what the template itself writes.
    pub(crate) fn skeleton(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        variables: &[(&'static str, Value)],
    ) -> Result<Skeleton, TextError> {
        let slots = Slots::unlike(messages);
        let text = self.render(&slots.fill(messages), add_generation_prompt, variables)?;
        Ok(Skeleton { text, slots })
    }
}

/// A rendered chat with slots for contents.
pub(crate) struct Skeleton {
    text: String,
    slots: Slots,
}

impl Skeleton {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Which parts of `rendered`, the text of `messages`, are their contents. `None` when the
    /// template does more with contents than to write them, trimmed or not.
    pub(crate) fn pieces<'a>(
        &self,
        rendered: &'a str,
        messages: &[Message],
    ) -> Option<Vec<Piece<'a>>> {
        self.slots.match_up(&self.text, rendered, messages)
    }
}

/// Names for the places of contents that occur in no content.
struct Slots {
    start: String,
}

impl Slots {
    const END: &str = "end";

    fn unlike(messages: &[Message]) -> Self {
        let taken = |start: &str| messages.iter().any(|it| it.content.contains(start));
        let mut salt = 0;
        let mut start = "place0of".to_owned();
        while taken(&start) {
            salt += 1;
            start = format!("place{salt}of");
        }
        Self { start }
    }

    /// The messages with slots for contents. An empty content stays, as templates test for it.
    fn fill(&self, messages: &[Message]) -> Vec<Message> {
        let slot = |(i, message): (usize, &Message)| Message {
            role: message.role,
            content: match message.content.as_str() {
                "" => String::new(),
                _ => format!("{}{i}{}", self.start, Self::END),
            },
        };
        messages.iter().enumerate().map(slot).collect()
    }

    fn match_up<'a>(
        &self,
        with_slots: &str,
        rendered: &'a str,
        messages: &[Message],
    ) -> Option<Vec<Piece<'a>>> {
        let mut texts = with_slots.split(self.start.as_str());
        let first = texts.next()?;
        let mut rest = rendered.strip_prefix(first)?;
        let mut pieces = vec![Piece::Template(&rendered[..first.len()])];
        for text in texts {
            let (number, after) = text.split_once(Self::END)?;
            let content = &messages.get(number.parse::<usize>().ok()?)?.content;
            let forms = [
                content.as_str(),
                content.trim(),
                content.trim_start(),
                content.trim_end(),
            ];
            let form = forms.iter().find(|form| {
                rest.strip_prefix(**form)
                    .is_some_and(|rest| rest.starts_with(after))
            })?;
            let (content, behind) = rest.split_at(form.len());
            let (template, behind) = behind.split_at(after.len());
            pieces.extend([Piece::Content(content), Piece::Template(template)]);
            rest = behind;
        }
        rest.is_empty().then_some(pieces)
    }
}

fn refused(context: &'static str) -> impl Fn(Error) -> TextError {
    move |error| TextError::Refused {
        context: context.to_owned(),
        source: error.into(),
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

/// Whether `{% generation %}` is there, with any blanks and trimming marks.
fn has_generation_tag(source: &str) -> bool {
    source.split("{%").skip(1).any(|tag| {
        tag.trim_start_matches(['-', '+'])
            .trim_start()
            .strip_prefix("generation")
            .is_some_and(|rest| {
                let rest = rest.trim_start().trim_start_matches(['-', '+']);
                rest.starts_with("%}")
            })
    })
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.set_formatter(|out, state, value| {
        if value.is_number() && !value.is_integer() {
            let text = python_float(f64::try_from(value.clone())?);
            return out.write_str(&text).map_err(Error::from);
        }
        escape_formatter(out, state, value)
    });
    environment.set_unknown_method_callback(unknown_method_callback);
    // `none` is iterable to minijinja, and templates ask so of `tools`.
    environment.add_test("iterable", |value: &Value| {
        !value.is_none() && value.try_iter().is_ok()
    });
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    Ok(environment)
}

fn raise_exception(message: &str) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.to_owned()))
}

/// The date and time, in UTC, by the codes of C's `strftime` that templates use.
fn strftime_now(format: &str) -> Result<String, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    strftime(now.map_or(0, |it| it.as_secs()), format)
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

fn strftime(secs: u64, format: &str) -> Result<String, Error> {
    let (days, time) = (secs / 86_400, secs % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    let (month_name, day_name) = (MONTHS[month as usize - 1], DAYS[(days % 7) as usize]);
    let mut out = String::new();
    let mut codes = format.chars();
    while let Some(letter) = codes.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut code = codes.next();
        let padded = code != Some('-');
        if !padded {
            code = codes.next();
        }
        let two = |number: u64| {
            if padded {
                format!("{number:02}")
            } else {
                number.to_string()
            }
        };
        let text = match code {
            Some('Y') => year.to_string(),
            Some('y') => two(year % 100),
            Some('m') => two(month),
            Some('d') => two(day),
            Some('e') => format!("{day:2}"),
            Some('B') => month_name.to_owned(),
            Some('b' | 'h') => month_name[..3].to_owned(),
            Some('A') => day_name.to_owned(),
            Some('a') => day_name[..3].to_owned(),
            Some('H') => two(hour),
            Some('I') => two((hour + 11) % 12 + 1),
            Some('p') => (if hour < 12 { "AM" } else { "PM" }).to_owned(),
            Some('M') => two(minute),
            Some('S') => two(second),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('%') => "%".to_owned(),
            other => {
                let code = other.map(String::from).unwrap_or_default();
                let message = format!("strftime_now does not know the code `%{code}`");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        };
        out += &text;
    }
    Ok(out)
}

/// Year, month and day of a day counted from 1970-01-01 (Hinnant, "chrono-compatible low-level
/// date algorithms", for days that are not before that).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Python's `json.dumps` with transformers' defaults: nothing escaped for HTML, characters
/// beyond ASCII kept, `", "` and `": "` between.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature of a filter with keyword arguments"
)]
fn to_json(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent = match options.get::<Option<Value>>("indent")? {
        None => None,
        Some(indent) if indent.is_none() => None,
        Some(indent) => Some(usize::try_from(indent)?),
    };
    let separators = options.get::<Option<Vec<String>>>("separators")?;
    let (item, key) = match separators.as_deref() {
        None => (if indent.is_some() { "," } else { ", " }, ": "),
        Some([item, key]) => (item.as_str(), key.as_str()),
        Some(_) => {
            let message = "tojson wants two `separators`";
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
    };
    let style = JsonStyle {
        indent,
        item,
        key,
        ascii: options
            .get::<Option<bool>>("ensure_ascii")?
            .unwrap_or(false),
        sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    if value.is_undefined() {
        let message = "tojson was given an undefined value";
        return Err(Error::new(ErrorKind::UndefinedError, message));
    }
    let value = serde_json::to_value(value).map_err(|error| {
        Error::new(ErrorKind::BadSerialization, "tojson cannot write this").with_source(error)
    })?;
    let mut out = String::new();
    style.write(&value, 0, &mut out);
    Ok(Value::from_safe_string(out))
}

struct JsonStyle<'a> {
    indent: Option<usize>,
    item: &'a str,
    key: &'a str,
    ascii: bool,
    sorted: bool,
}

impl JsonStyle<'_> {
    fn write(&self, value: &serde_json::Value, depth: usize, out: &mut String) {
        match value {
            serde_json::Value::String(text) => self.write_text(text, out),
            serde_json::Value::Number(number) => {
                *out += &match number.as_f64().filter(|_| number.is_f64()) {
                    Some(float) => python_float(float),
                    None => number.to_string(),
                }
            }
            serde_json::Value::Array(items) => {
                self.write_all(['[', ']'], items, depth, out, |item, out| {
                    self.write(item, depth + 1, out);
                });
            }
            serde_json::Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                if self.sorted {
                    fields.sort_by_key(|(key, _)| *key);
                }
                self.write_all(['{', '}'], &fields, depth, out, |(key, item), out| {
                    self.write_text(key, out);
                    *out += self.key;
                    self.write(item, depth + 1, out);
                });
            }
            simple => *out += &simple.to_string(),
        }
    }

    fn write_all<T>(
        &self,
        [open, close]: [char; 2],
        items: &[T],
        depth: usize,
        out: &mut String,
        write: impl Fn(&T, &mut String),
    ) {
        out.push(open);
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                *out += self.item;
            }
            self.new_line(depth + 1, out);
            write(item, out);
        }
        if !items.is_empty() {
            self.new_line(depth, out);
        }
        out.push(close);
    }

    fn new_line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    }

    fn write_text(&self, text: &str, out: &mut String) {
        let quoted = serde_json::Value::from(text).to_string();
        if !self.ascii {
            *out += &quoted;
            return;
        }
        for letter in quoted.chars() {
            if letter.is_ascii() {
                out.push(letter);
            } else {
                let units = letter.encode_utf16(&mut [0; 2]).to_vec();
                out.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
    }
}

/// A float as Python's `repr` writes it.
fn python_float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::Piece::{Content, Template};
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
                template.environment.remove_global(name);
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
            .render_values(messages, add_generation_prompt, &variables)
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
                (Err(error), _) if name == "generation" => error.contains("{% generation %}"),
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

    #[test]
    fn dates_follow_strftime() {
        // 2024-02-29 13:05:09 UTC, a Thursday.
        let date = |format| strftime(1_709_211_909, format).unwrap();
        assert_eq!(date("%d %b %Y"), "29 Feb 2024");
        assert_eq!(
            date("%A, %B %-d, %y at %I:%M %p"),
            "Thursday, February 29, 24 at 01:05 PM"
        );
        assert_eq!(date("%F %T 100%%"), "2024-02-29 13:05:09 100%");
        assert_eq!(strftime(0, "%a %e %b").unwrap(), "Thu  1 Jan");
        let error = strftime(0, "%Q").unwrap_err().to_string();
        assert!(error.contains("`%Q`"), "{error}");
        // The last day of a leap century and the first after it.
        assert_eq!(strftime(951_782_400, "%F").unwrap(), "2000-02-29");
        assert_eq!(strftime(4_107_542_400, "%F").unwrap(), "2100-03-01");
    }

    #[test]
    fn floats_read_as_in_python() {
        let cases = [
            (0.0, "0.0"),
            (-1.5, "-1.5"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (5e-324, "5e-324"),
        ];
        for (value, wanted) in cases {
            assert_eq!(python_float(value), wanted);
        }
    }

    #[test]
    fn contents_are_found_in_the_rendered_chat_trimmed_or_not() {
        let source = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim if m.role == 'user' \
                      else m.content }}</>{% endfor %}";
        let template = ChatTemplate::new(source).unwrap();
        let chat = [
            Message::user(" place0of0end \n"),
            Message::assistant(" b "),
            Message::user(""),
        ];
        let text = template.render(&chat, false, &[]).unwrap();
        let skeleton = template.skeleton(&chat, false, &[]).unwrap();
        let pieces = skeleton.pieces(&text, &chat).unwrap();
        assert_eq!(
            pieces,
            [
                Template("<user>"),
                Content("place0of0end"),
                Template("</><assistant>"),
                Content(" b "),
                Template("</><user></>"),
            ]
        );
    }

    #[test]
    fn reworked_contents_are_not_looked_for() {
        let template = ChatTemplate::new("{{ messages[0].content | upper }}").unwrap();
        let chat = [Message::user("abc")];
        let text = template.render(&chat, false, &[]).unwrap();
        assert_eq!(text, "ABC");
        let skeleton = template.skeleton(&chat, false, &[]).unwrap();
        assert_eq!(skeleton.pieces(&text, &chat), None);
    }

    #[test]
    fn the_generation_tag_is_refused_by_name() {
        for tag in ["{% generation %}", "{%- generation -%}", "{%+generation%}"] {
            let error = ChatTemplate::new(tag).err().unwrap().to_string();
            assert!(error.contains("{% generation %}"), "{error}");
        }
        assert!(ChatTemplate::new("{% if add_generation_prompt %}{% endif %}").is_ok());
    }
}
