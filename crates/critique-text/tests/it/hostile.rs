//! Templates and tokenizers that were made to do harm: each is refused in seconds, by an error
//! that says what budget it broke or what is wrong.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use critique_core::{Message, Prompt};
use critique_text::{SpecialTokens, TextCodec, phrase_tokenizer};

use crate::support::told;

/// Two seconds are the budget; the machine may do other things too.
const TIME: Duration = Duration::from_secs(10);

fn codec(template: &str) -> Result<TextCodec, String> {
    let tokenizer = phrase_tokenizer(&["hello", "x"], &["<|end|>"]);
    let special = SpecialTokens {
        eos: Some("<|end|>".to_owned()),
        ..SpecialTokens::default()
    };
    TextCodec::from_parts(&tokenizer, template, special).map_err(|error| told(&error))
}

fn render(template: &str) -> Result<String, String> {
    let chat = [Message::user("hello")];
    codec(template)?
        .render(&chat, true)
        .map_err(|error| told(&error))
}

/// A value that holds itself twice, many times over.
fn doubled(then: &str) -> String {
    format!(
        "{{% set ns = namespace(l=[1], m=[1]) %}}{{% for i in range(60) %}}\
         {{% set ns.l = [ns.l, ns.l] %}}{{% set ns.m = [ns.m, ns.m] %}}{{% endfor %}}{then}"
    )
}

fn repeated(text: &str) -> String {
    format!("{{% set y = 'y' * 9000000 %}}{{% for i in range(99999) %}}{text}{{% endfor %}}")
}

/// Templates that take more steps, bytes or time than there are.
fn greedy() -> Vec<String> {
    let nested = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) \
                  %}x{% endfor %}{% endfor %}{% endfor %}";
    let mut templates: Vec<String> = [
        nested,
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
        "{{ '%999999999d' | format(3) }}",
        "{{ '%.999999999f' | format(3.0) }}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(s='aaaa') %}{% for i in range(60) %}{% set ns.s = ns.s.replace('a', ns.s) %}{% endfor %}",
        "{% set ns = namespace(s='aaaa') %}{% for i in range(60) %}{% set ns.s = ns.s | replace('a', ns.s) %}{% endfor %}",
        "{{ ('x' * 1000000).replace('', 'y' * 1000000) }}",
        "{{ 'a\nb' | indent(10000000000) }}",
        "{{ ('a\n' * 100000) | indent(100000) }}",
        "{{ 'x' * 10000000000 }}",
        "{{ ('x' * 99000000) ~ ('x' * 99000000) }}",
        "{{ [[1] * 9999999, [1] * 9999999] | string | length }}",
        "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = ns.l + range(99999) | list %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}{{ ns.l | length }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(40) %}{% set ns.l = ns.l + ns.l %}{% endfor %}{{ ns.l | join(',') }}",
        "{% set x %}{% for i in range(99999) %}{{ 'y' * 100000 }}{% endfor %}{% endset %}",
        "{% set y = 'y' * 1000000 %}{% for i in range(99999) %}{{ y }}{% endfor %}",
        "{{ range(99999) | join('x' * 1000000) }}",
        "{{ ('x' * 1000000).join(range(99999) | map('string') | list) }}",
        "{{ ('x ' * 10000000).split(' ') | length }}",
        "{{ ('x' * 90000000) | list | length }}",
        "{{ ('x' * 90000000) | reverse | length }}",
        "{{ ('\n' * 90000000).splitlines() | length }}",
        "{{ [1] | batch(10000000000, 'x') | list }}",
        "{{ [1] | slice(10000000000) | list }}",
        "{{ range(99999) | map('string') | map('replace', '', 'x' * 1000000) | join | length }}",
    ]
    .map(str::to_owned)
    .to_vec();
    for then in [
        "{{ ns.l }}",
        "{{ ns.l | tojson }}",
        "{{ ns.l | string }}",
        "{% set x = ns.l ~ 'x' %}",
        "{{ ns.l == ns.m }}",
        "{{ ns.l < ns.m }}",
        "{{ ns.l in [ns.m] }}",
        "{{ [ns.l, ns.m] | sort | length }}",
        "{{ [ns.l, ns.m] | unique | list | length }}",
        "{{ ','.join([ns.l]) }}",
        "{{ '{}'.format(ns.l) }}",
        "{{ '%s' | format(ns.l) }}",
    ] {
        templates.push(doubled(then));
    }
    for text in [
        "{% set z = y | upper %}",
        "{% set q = y.find('z') %}",
        "{% set q = y.strip() %}",
        "{% set q = y | length %}",
        "{% if 'z' in y %}{% endif %}",
        "{% set q = {y: 1} %}",
    ] {
        templates.push(repeated(text));
    }
    templates
}

#[test]
fn templates_that_take_too_much_are_stopped_by_their_budget() {
    let templates = greedy();
    assert!(templates.len() >= 31, "{}", templates.len());
    let mut wrong = Vec::new();
    for template in templates {
        let start = Instant::now();
        let found = render(&template);
        let took = start.elapsed();
        match found {
            Err(error) if error.contains("budget of") && took < TIME => {}
            found => {
                let found = found.map(|it| it.len());
                wrong.push(format!("{took:?} {found:?}: {template}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Templates that ask for what is never given, and what the error says.
#[test]
fn templates_that_ask_for_too_much_at_once_are_refused() {
    let deep = |then: &str| {
        format!(
            "{{% set ns = namespace(l=[1]) %}}{{% for i in range(99999) %}}\
             {{% set ns.l = [ns.l] %}}{{% endfor %}}{then}"
        )
    };
    let cases = [
        ("{{ range(1000000000) }}".to_owned(), "too many elements"),
        ("{{ 9 ** 9 ** 9 }}".to_owned(), "unable to calculate"),
        ("{{ '{:>999999999}'.format(3) }}".to_owned(), "at most 9999"),
        (
            "{{ [1] | tojson(indent=1000000000) }}".to_owned(),
            "at most 100",
        ),
        (deep("{{ ns.l }}"), "more than 100 deep"),
        (deep("{{ ns.l | tojson }}"), "more than 100 deep"),
        (
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(),
            "recursion",
        ),
        (
            "{% for x in messages recursive %}{{ loop(messages) }}{% endfor %}".to_owned(),
            "recursion",
        ),
        ("{% include 'chat_template' %}".to_owned(), "recursion"),
        ("{% extends 'chat_template' %}".to_owned(), "cycle"),
        ("{% include '/etc/passwd' %}".to_owned(), "non-existing"),
        ("{{ debug() }}".to_owned(), "debug"),
        (
            format!("{{{{ {}1{} }}}}", "(".repeat(50_000), ")".repeat(50_000)),
            "recursion",
        ),
        (
            format!("{{{{ {}{} }}}}", "[".repeat(50_000), "]".repeat(50_000)),
            "recursion",
        ),
        ("{% if 1 %}".repeat(10_000), "recursion"),
        (
            format!("{{{{ {}1 }}}}", "-".repeat(1_000_000)),
            "budget of 131072",
        ),
        ("x".repeat(1 << 20), "budget of 131072"),
    ];
    for (template, wanted) in cases {
        let start = Instant::now();
        let error = render(&template).unwrap_err();
        let shown: String = template.chars().take(80).collect();
        assert!(error.contains(wanted), "{shown}: {error}");
        assert!(start.elapsed() < TIME, "{shown}: {:?}", start.elapsed());
    }
}

/// Long chains nest when they are read, though no bracket stands in them.
#[test]
fn long_chains_within_the_longest_template_do_not_overflow_the_stack() {
    let chains = [
        format!("{{{{ {}1 }}}}", "-".repeat(120_000)),
        format!("{{{{ {}1 }}}}", "not ".repeat(30_000)),
        format!("{{{{ {}1 }}}}", "1+".repeat(60_000)),
        format!("{{{{ {}'' }}}}", "''~".repeat(30_000)),
        format!("{{{{ messages{} }}}}", ".a".repeat(60_000)),
        format!("{{{{ messages{} }}}}", "|list".repeat(20_000)),
        format!("{{{{ {}1 }}}}", "1 if 0 else ".repeat(10_000)),
        format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(10_000)),
    ];
    for chain in chains {
        let start = Instant::now();
        // Whether it is read or refused, it comes back.
        let _ = render(&chain);
        assert!(start.elapsed() < TIME, "{:?}", start.elapsed());
    }
}

#[test]
fn what_a_template_raises_steers_no_terminal() {
    let error = render("{{ raise_exception('\u{1b}]0;x\u{7}' ~ 'a' * 100000) }}").unwrap_err();
    assert!(error.contains("\\u{1b}]0;x\\u{7}aaa"), "{error}");
    assert!(error.len() < 2000 && !error.contains('\u{1b}'), "{error}");
}

/// Messages pay for themselves: what is long is not refused for that.
#[test]
fn long_messages_are_within_the_budget() {
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}\n{% endfor %}";
    let codec = codec(template).unwrap();
    let chat: Vec<_> = (0..40)
        .map(|_| Message::user("x ".repeat(500_000)))
        .collect();
    let text = codec.render(&chat, true).unwrap();
    assert_eq!(text.len(), 40 * ("user: \n".len() + 999_999));
    let many: Vec<_> = (0..20_000).map(|_| Message::user("x")).collect();
    assert_eq!(codec.render(&many, true).unwrap().len(), 20_000 * 8);
}

/// A tokenizer that is broken in many ways: an error that names it, never a panic.
#[test]
fn broken_tokenizers_are_errors_that_name_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    let good = phrase_tokenizer(&["hello", "x"], &["<|end|>"]);
    let load = || {
        TextCodec::load(dir.path())
            .map(|_| ())
            .map_err(|error| told(&error))
    };
    fs::write(&path, &good).unwrap();
    load().unwrap();
    let decoder = good.find("\"decoder\"").unwrap();
    let broken = [
        String::new(),
        "[]".to_owned(),
        "[".repeat(1_000_000),
        "{\"model\":".repeat(1_000_000),
        good[..good.len() - 3].to_owned(),
        format!("{}x{}", &good[..decoder + 12], &good[decoder + 12..]),
        good.replace("\"decoder\":", "\"decoder\": 1e999, \"x\":"),
        good.replace(
            "\"decoder\":",
            &format!("\"decoder\": {}, \"x\":", "[".repeat(200_000)),
        ),
        good.replace("\"decoder\":", "\"decoder\": {\"type\": \"None\"}, \"x\":"),
        good.replace("\"model\":", "\"model\": 3, \"y\":"),
        good.replace("\"type\":", "\"typo\":"),
    ];
    for text in broken {
        fs::write(&path, &text).unwrap();
        let start = Instant::now();
        let error = load().unwrap_err();
        let shown: String = text.chars().take(60).collect();
        assert!(
            error.contains("tokenizer.json: not a tokenizer"),
            "{shown}: {error}"
        );
        assert!(
            start.elapsed() < TIME && error.len() < 2000,
            "{shown}: {error}"
        );
    }
    fs::write(&path, b"{\"a\": \"\xff\"}").unwrap();
    assert!(load().unwrap_err().contains("tokenizer.json: "));
    fs::File::create(&path).unwrap().set_len(300 << 20).unwrap();
    assert!(load().unwrap_err().contains("the most that is read"));
}

/// Any one part of a tokenizer taken out or turned into another never panics.
#[test]
fn damaged_tokenizers_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    let good = phrase_tokenizer(&["hello", "x"], &["<|end|>"]);
    for at in (0..good.len()).step_by(3) {
        for byte in [b' ', b'"', b'}', b'9'] {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = byte;
            fs::write(&path, bytes).unwrap();
            read(dir.path());
        }
    }
}

/// Loads a codec and uses it, where it can be loaded.
fn read(dir: &Path) {
    if let Ok(codec) = TextCodec::load(dir) {
        let _ = codec.encode_text("hello x");
        let _ = codec.encode_prompt(&Prompt::from_user("hello"));
        codec.decode(&[0, 1, 2, 3], false);
    }
}
