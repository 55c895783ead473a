//! What stands on a page.

use std::fs;

use crate::support::{Folder, data, evaluated, list, report, report_of, rollout, run_file};

#[test]
fn evaluations_stand_with_trained_critics_first() {
    let under = tempfile::tempdir().unwrap();
    let folder = Folder::new(&under, "run", 1);
    let problems: Vec<_> = (0..20).map(|n| evaluated(&format!("{n}+1"))).collect();
    for name in ["no_critic", "always_correct", "stage1", "perfect"] {
        folder.evaluation(name, &problems);
    }
    let html = report(&[&folder.root]).to_html();
    let at = |text: &str| html.find(text).unwrap_or_else(|| panic!("no `{text}`"));
    let order = [
        "Trained critics",
        ">stage1</th>",
        "Floors and ceilings",
        ">no_critic</th>",
        ">always_correct</th>",
        ">perfect</th>",
    ];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])));
    assert!(html.contains("100.0 <small>[83.9, 100.0]</small>"));
    let plotted = &data(&html)["evaluations"];
    assert_eq!(plotted[0]["row"], "stage1");
    assert_eq!(plotted[0]["control"], false);
    assert_eq!(plotted[3]["control"], true);
}

#[test]
fn curves_hold_every_number_and_what_follows_from_them() {
    let under = tempfile::tempdir().unwrap();
    let folder = Folder::new(&under, "run", 2);
    let data = data(&report(&[&folder.root]).to_html());
    let curves = &data["runs"][0]["curves"];
    assert_eq!(curves["step"][9], 10.0);
    assert_eq!(
        list(&curves["stage"]).iter().filter(|it| **it == 1).count(),
        6
    );
    let columns = &curves["columns"];
    assert_eq!(columns["reward"][3], serde_json::Value::Null);
    assert_eq!(columns["reward"][4], 0.12);
    assert_eq!(columns["my/own"][9], 1.5);
    assert_eq!(columns["unparsed/no_line"][9], 0.25);
    assert_eq!(columns["time/critique_tokens_per_second"][9], 80.0);
    assert!(columns.get("acc_dis_incorrect").is_none());
    let stage = &data["runs"][0]["stages"][1];
    assert_eq!(
        (&stage["first"], &stage["last"], &stage["planned"]),
        (&5.into(), &10.into(), &6.into())
    );
}

#[test]
fn runs_that_differ_in_their_seed_are_of_one_arm() {
    let under = tempfile::tempdir().unwrap();
    let (one, two) = (
        Folder::new(&under, "1/toy", 1),
        Folder::new(&under, "2/toy", 2),
    );
    let other = Folder::new(&under, "3/toy", 3);
    fs::write(other.root.join("config.resolved.toml"), run_file(3, "2e-4")).unwrap();
    let html = report(&[&one.root, &two.root, &other.root, &one.root]).to_html();
    let runs = data(&html);
    let runs: Vec<(&str, u64)> = list(&runs["runs"])
        .iter()
        .map(|run| (run["label"].as_str().unwrap(), run["arm"].as_u64().unwrap()))
        .collect();
    assert_eq!(runs, [("1/toy", 0), ("2/toy", 0), ("3/toy", 1)]);
    let row = "<tr class=\"differs\"><th scope=\"row\">stages.stage1.lr <small>differs</small></th><td>–</td><td>1e-4</td><td>1e-4</td><td>2e-4</td></tr>";
    let seen = html
        .find("stages.stage1.lr")
        .map(|at| &html[at - 40..at + 160]);
    assert!(
        html.contains(row)
            || html.contains(&row.replace("1e-4", "0.0001").replace("2e-4", "0.0002")),
        "{seen:?}"
    );
}

#[test]
fn settings_are_told_beside_their_defaults() {
    let under = tempfile::tempdir().unwrap();
    let folder = Folder::new(&under, "run", 1);
    let path = folder.root.join("config.resolved.toml");
    let config = fs::read_to_string(&path).unwrap() + "clip_low = 0.3\nclip_high = 0.2\n";
    fs::write(&path, config).unwrap();
    let html = report(&[&folder.root]).to_html();
    let row = "<th scope=\"row\">stages.stage1.clip_low</th><td>0.2</td><td>0.3</td>";
    assert!(html.contains(row));
    let (set, default) = html.split_once("settings that are the defaults").unwrap();
    assert!(
        !set.contains("stages.stage1.clip_high") && default.contains("stages.stage1.clip_high")
    );
}

#[test]
fn a_cut_is_spread_over_steps_and_told() {
    let under = tempfile::tempdir().unwrap();
    let folder = Folder::new(&under, "run", 1);
    for step in 0..6 {
        let problems = ["a", "b", "c", "d", "e"];
        let records = problems
            .iter()
            .flat_map(|problem| (0..4).map(move |sibling| rollout(step, problem, sibling)));
        folder.step(step, &records.collect::<Vec<_>>());
    }
    let problems: Vec<_> = (0..40).map(|n| evaluated(&format!("{n}+1"))).collect();
    folder.evaluation("stage1", &problems);
    folder.evaluation("stage2", &problems);

    let whole = data(&report(&[&folder.root]).to_html());
    assert_eq!(list(&whole["rollouts"]["list"]).len(), 200);
    assert_eq!(
        (&whole["rollouts"]["total"], &whole["rollouts"]["exact"]),
        (&200.into(), &true.into())
    );

    let cut = data(&report_of(&[&folder.root], 70).to_html());
    let rollouts = list(&cut["rollouts"]["list"]);
    // Groups of four are not broken up.
    assert_eq!(rollouts.len(), 68);
    assert_eq!(cut["rollouts"]["total"], 200);
    let steps: std::collections::BTreeSet<u64> = rollouts
        .iter()
        .filter(|rollout| rollout.get("row").is_none())
        .map(|rollout| rollout["step"].as_u64().unwrap())
        .collect();
    assert!(
        steps.len() >= 3 && steps.contains(&0) && steps.contains(&5),
        "{steps:?}"
    );
    // Evaluations hold the same problems, so that critics can be read beside each other.
    let of = |row: &str| -> Vec<&str> {
        let of_row = rollouts.iter().filter(|rollout| rollout["row"] == row);
        of_row
            .map(|rollout| rollout["problem"].as_str().unwrap())
            .collect()
    };
    assert_eq!(of("stage1").len(), 20);
    assert_eq!(of("stage1"), of("stage2"));
}

#[test]
fn a_report_is_one_file_and_the_same_each_time() {
    let under = tempfile::tempdir().unwrap();
    let folder = Folder::new(&under, "run", 1);
    folder.step(0, &[rollout(0, "2+2", 0)]);
    let out = under.path().join("report.html");
    report(&[&folder.root]).write(&out).unwrap();
    let html = fs::read_to_string(&out).unwrap();
    assert_eq!(html, report(&[&folder.root]).to_html());
    for outside in ["http://", "https://", " src=", "@import", "url("] {
        let found = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(outside), "{outside}");
    }
}
