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

#[cfg(feature = "png")]
#[test]
fn a_png_has_the_size_and_the_words_of_the_svg() {
    let folder = tempfile::tempdir().unwrap();
    let figures = Figures::of(&seeds(&folder)).unwrap();
    let look = Look::default();
    let png = |metric: &Figure| match figures.png(metric, &look, 2.0) {
        Ok(png) => Some(png),
        // Without fonts there is no figure, and the error says so.
        Err(error) => {
            assert!(error.to_string().contains("has no fonts"), "{error}");
            None
        }
    };
    let (Some(reward), Some(loss)) = (png(&metric("reward")), png(&metric("loss"))) else {
        return;
    };
    let svg = figures.svg(&metric("reward"), &look).unwrap();
    let width = svg.split("width=\"").nth(1).unwrap().split('"').next();
    let width: f32 = width.unwrap().parse().unwrap();
    assert_eq!(&reward[..8], b"\x89PNG\r\n\x1a\n");
    let wide = u32::from_be_bytes(reward[16..20].try_into().unwrap());
    assert_eq!(wide, (2.0 * width).ceil() as u32);
    assert!(reward != loss, "titles and values differ");
}
