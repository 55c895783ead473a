//! Models write what they like; none of it becomes markup or a command.

use crate::support::{Folder, data, list, report, rollout};

const HOSTILE: [&str; 6] = [
    "</script><script>document.title='taken'</script>",
    "<!--<script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "\u{0}\u{1b}[2J\u{1b}]0;taken\u{7}\u{9b}31m",
    "\u{202e}neht\u{2066} \u{2028}\u{200f}مرحبا",
    "{{data}} {{script}} &lt;b&gt; ]]>",
];

/// Everything of a rollout that a model or a data set writes.
fn hostile_rollouts() -> Vec<critique_rollout::RolloutRecord> {
    let of = |(at, text): (usize, &&str)| {
        let mut record = rollout(0, "2+2", at);
        record.question = format!("{text} question");
        record.gold = format!("{text} gold");
        record.response = format!("{text} response");
        record.critique = format!("{text} critique");
        record.refinements[0].text = format!("{text} refinement");
        record.problem = format!("{text} problem");
        record.rewards[0].0 = format!("{text} reward");
        record
    };
    HOSTILE.iter().enumerate().map(of).collect()
}

#[test]
fn hostile_output_is_data_on_the_page() {
    let under = tempfile::tempdir().unwrap();
    let folder = Folder::new(&under, "run", 1);
    folder.step(0, &hostile_rollouts());
    let html = report(&[&folder.root]).to_html();
    for text in ["</script><script>doc", "<!--<script>", "<img src=x"] {
        assert!(!html.contains(text), "`{text}` stands on the page as it is");
    }
    assert_eq!(html.matches("<script").count(), 2);
    assert_eq!(html.matches("</script>").count(), 2);
    let commands = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!html.contains(commands));
    // And all of it is there.
    let data = data(&html);
    let texts = list(&data["rollouts"]["texts"]["list"]);
    for text in HOSTILE {
        let critique = format!("{text} critique");
        assert!(texts.iter().any(|known| known == &critique), "{text:?}");
    }
}

#[test]
fn hostile_names_and_settings_are_text() {
    let under = tempfile::tempdir().unwrap();
    let folder = Folder::new(&under, "a<b>&\"'", 1);
    let path = folder.root.join("config.resolved.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let config = config.replace("\"arithmetic\"", "\"</td><script>x</script>\\u202e\"");
    std::fs::write(&path, config).unwrap();
    let html = report(&[&folder.root]).to_html();
    assert!(html.contains("<h1>a&lt;b&gt;&amp;&quot;&#39;</h1>"));
    assert!(html.contains("&lt;/td&gt;&lt;script&gt;x&lt;/script&gt;"));
    assert_eq!(html.matches("<script").count(), 2);
    assert!(!html.contains('\u{202e}'));
}

#[test]
fn a_megabyte_of_text_is_whole() {
    let under = tempfile::tempdir().unwrap();
    let folder = Folder::new(&under, "run", 1);
    let mut record = rollout(0, "2+2", 0);
    record.critique = "long ".repeat(200_000);
    folder.step(0, &[record.clone()]);
    let data = data(&report(&[&folder.root]).to_html());
    let at = data["rollouts"]["list"][0]["critique"].as_u64().unwrap() as usize;
    let texts = &data["rollouts"]["texts"];
    assert_eq!(texts["list"][at], record.critique);
    assert!(texts["cut"].as_object().unwrap().is_empty());
}
