//! Figures of run folders.

use std::path::PathBuf;

use critique_report::{Band, Figure, FigureError, Figures, Look};
use tempfile::TempDir;

use crate::support::{Folder, evaluated, rollout};

fn seeds(folder: &TempDir) -> Vec<PathBuf> {
    let runs = (1..=3).map(|seed| Folder::new(folder, &format!("{seed}/arm"), seed));
    runs.map(|run| run.root).collect()
}

fn metric(name: &str) -> Figure {
    Figure::Metrics(vec![name.to_owned()])
}

#[test]
fn seeds_of_an_arm_are_one_line_with_a_band() {
    let folder = tempfile::tempdir().unwrap();
    let figures = Figures::of(&seeds(&folder)).unwrap();
    let joined = figures.svg(&metric("reward"), &Look::default()).unwrap();
    assert_eq!(joined.matches("<polyline").count(), 1);
    assert_eq!(joined.matches("<polygon").count(), 1);
    assert!(joined.contains("arm, 3 seeds") && joined.contains(">stage1</text>"));
    let look = Look {
        band: Band::Each,
        ..Look::default()
    };
    let each = figures.svg(&metric("reward"), &look).unwrap();
    assert_eq!(
        (
            each.matches("<polyline").count(),
            each.matches("<polygon").count()
        ),
        (3, 0)
    );
    assert_eq!(
        joined,
        figures.svg(&metric("reward"), &Look::default()).unwrap()
    );
}

#[test]
fn an_unknown_metric_is_told_with_those_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let figures = Figures::of(&seeds(&folder)).unwrap();
    let error = figures
        .svg(&metric("rewrad"), &Look::default())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no run has the metric `rewrad`; metrics: acc_dis_correct, "),
        "{error}"
    );
    let look = Look {
        stage: Some("sft".into()),
        ..Look::default()
    };
    let error = figures.svg(&metric("reward"), &look).unwrap_err();
    assert!(matches!(error, FigureError::Metric { stage: Some(_), .. }));
}

#[test]
fn figures_by_name_draw_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let run = Folder::new(&folder, "run", 1);
    let figures = || Figures::of(std::slice::from_ref(&run.root)).unwrap();
    let drawn = |name: &str| figures().svg(&Figure::named(name).unwrap(), &Look::default());
    assert!(
        drawn("dynamics")
            .unwrap()
            .contains("Acc@Dis on right responses (training)")
    );
    assert!(matches!(drawn("pareto"), Err(FigureError::Empty { .. })));
    assert!(matches!(drawn("scaling"), Err(FigureError::Empty { .. })));
    run.step(0, &[rollout(0, "p", 0), rollout(0, "p", 1)]);
    let mut right = evaluated("q");
    right.verdict = critique_core::Verdict::Correct;
    run.evaluation("stage1", &[evaluated("p"), right]);
    assert!(
        drawn("scaling")
            .unwrap()
            .contains("critiques of a response, K")
    );
    assert!(drawn("pareto").unwrap().contains(">stage1</text>"));
}
