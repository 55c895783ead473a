//! Figures as pixels.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use crate::figure::FigureError;

/// Draws a figure with `scale` pixels for one of the SVG's, in the fonts of this machine.
///
/// # Errors
///
/// When the machine has no font, since the figure would be without a word; when this is no SVG, or
/// one too large for memory.
pub(super) fn draw(svg: &str, scale: f32) -> Result<Vec<u8>, FigureError> {
    let because = |why: String| FigureError::Pixels { why };
    let mut options = Options::default();
    options.fontdb_mut().load_system_fonts();
    let Some(family) = usual_family(&options.fontdb) else {
        let why = "this machine has no fonts, and the figure would have no text; install some, \
                   such as `fonts-dejavu-core`, or write SVG";
        return Err(because(why.to_owned()));
    };
    // A family that is not there has no letters, and generic names stand for one that may not be.
    options.fontdb_mut().set_sans_serif_family(family.clone());
    options.fontdb_mut().set_serif_family(family);
    let tree = Tree::from_str(svg, &options).map_err(|error| because(error.to_string()))?;
    let pixels = |size: f32| (size * scale).ceil().max(1.0) as u32;
    let (width, height) = (pixels(tree.size().width()), pixels(tree.size().height()));
    let mut pixmap = Pixmap::new(width, height)
        .ok_or_else(|| because(format!("{width} by {height} pixels are too many")))?;
    resvg::render(
        &tree,
        Transform::from_scale(scale, scale),
        &mut pixmap.as_mut(),
    );
    pixmap
        .encode_png()
        .map_err(|error| because(error.to_string()))
}

/// A family without serifs where the machine has a common one, else any.
fn usual_family(fonts: &Database) -> Option<String> {
    const COMMON: [&str; 6] = [
        "Helvetica",
        "Arial",
        "Liberation Sans",
        "DejaVu Sans",
        "Noto Sans",
        "Roboto",
    ];
    let there = || {
        fonts
            .faces()
            .flat_map(|face| &face.families)
            .map(|(name, _)| name)
    };
    let common = COMMON
        .into_iter()
        .find(|common| there().any(|name| name == common));
    common
        .map(str::to_owned)
        .or_else(|| there().next().cloned())
}
