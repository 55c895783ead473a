//! Every task of the workspace is found by its name; a new one may join them.

use task_all as _;

const NAMES: [&str; 17] = [
    "aime24",
    "amc23",
    "aqua",
    "arithmetic",
    "asdiv",
    "commonsenseqa",
    "gsm-hard",
    "gsm8k",
    "math",
    "math500",
    "mawps",
    "minerva",
    "olympiadbench",
    "strategyqa",
    "summarization",
    "svamp",
    "theoremqa",
];

#[test]
fn every_task_is_found_by_its_name() {
    let names: Vec<_> = critique_tasks::plugins()
        .iter()
        .map(|plugin| plugin.name)
        .collect();
    let lost: Vec<_> = NAMES.iter().filter(|name| !names.contains(name)).collect();
    assert!(lost.is_empty(), "not found: {lost:?}");
}

#[test]
fn every_data_set_has_a_licence_and_rows_of_its_own() {
    let specs = critique_tasks::dataset::specs();
    assert!(specs.len() >= NAMES.len() - 1, "all but `arithmetic`");
    for spec in specs {
        assert!(!spec.licence.is_empty(), "{}", spec.name);
        let rows = spec.sample.lines().count();
        assert!((3..=8).contains(&rows), "{} has {rows} rows", spec.name);
    }
}

/// What the toy's critic is trained on ends as the task says that responses do.
#[test]
fn responses_of_the_toy_end_as_its_task_says() {
    let task = critique_tasks::build("arithmetic", toml::Table::new()).unwrap();
    let style = task.prompts();
    for demonstration in task.demonstrations("responses", 50, 1).unwrap() {
        let said: String = demonstration
            .turn
            .iter()
            .map(|span| span.text.as_str())
            .collect();
        assert_eq!(style.as_response(&said), said);
        assert_eq!(style.as_response(said.trim()), said);
    }
}
