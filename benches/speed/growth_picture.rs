//! The picture of growth: one panel a measure, the cost at 1, 2, 4 and 8 times the users as times of that at 1.

use std::fmt::Write as _;

/// What one measure costs at each size.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) points: Vec<Point>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) users: u64,
    pub(crate) ours: f64,
    pub(crate) peer: f64,
}

const PANEL: f64 = 250.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 48.0;
const WIDTH: f64 = 170.0;
const HEIGHT: f64 = 180.0;

/// Colours are those of the reader's page, light or dark; ours and the peer's differ in their lines, too.
const STYLE: &str = "text{font:12px sans-serif;fill:#222}.title{font-weight:bold}.faint{fill:#555}
.axis{stroke:#222;fill:none}.grid{stroke:#ccc}.ours{stroke:#0b5cad;fill:none;stroke-width:2}
.ours-dot{fill:#0b5cad}.peer{stroke:#a14a00;fill:none;stroke-width:2;stroke-dasharray:6 4}.peer-dot{fill:#a14a00}
@media (prefers-color-scheme:dark){text{fill:#e6e6e6}.faint{fill:#aaa}.axis{stroke:#e6e6e6}.grid{stroke:#444}
.ours{stroke:#7cc0ff}.ours-dot{fill:#7cc0ff}.peer{stroke:#ffb066}.peer-dot{fill:#ffb066}}";

pub(crate) fn svg(curves: &[Curve]) -> String {
    let width = PANEL * curves.len() as f64;
    let height = TOP + HEIGHT + 88.0;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">"#
    );
    let title = "What a look-up, a check and a delivery cost as users become more";
    let _written = writeln!(svg, "\n<title>{title}</title>\n<style>{STYLE}</style>");
    let top = curves.iter().flat_map(grown).fold(2.0, f64::max).ceil();
    for (at, curve) in curves.iter().enumerate() {
        panel(&mut svg, curve, PANEL * at as f64 + LEFT, top);
    }
    legend(&mut svg, height - 14.0);
    svg.push_str("</svg>\n");
    svg
}

/// Each point of both lines, as times of the first of its line.
fn grown(curve: &Curve) -> impl Iterator<Item = f64> {
    let first = curve.points[0];
    let points = curve.points.iter();
    points.flat_map(move |it| [it.ours / first.ours, it.peer / first.peer])
}

fn panel(svg: &mut String, curve: &Curve, left: f64, top: f64) {
    let (right, bottom) = (left + WIDTH, TOP + HEIGHT);
    let x = |at: usize| left + WIDTH * (at as f64 + 0.3) / (curve.points.len() as f64 - 0.4);
    let y = |times: f64| bottom - HEIGHT * times / top;
    let name = curve.name.replace('`', "");
    let mut put = |text: String| svg.push_str(&(text + "\n"));
    put(format!(
        r#"<text class="title" x="{left}" y="18">{name}</text>"#
    ));
    put(format!(
        r#"<text class="faint" x="{left}" y="34">beside: {}</text>"#,
        curve.peer
    ));
    for step in 0..=top as u32 {
        let (height, label) = (y(f64::from(step)), f64::from(step));
        put(format!(
            r#"<line class="grid" x1="{left}" y1="{height}" x2="{right}" y2="{height}"/>"#
        ));
        let (x, y) = (left - 6.0, height + 4.0);
        put(format!(
            r#"<text x="{x}" y="{y}" text-anchor="end">{label}</text>"#
        ));
    }
    put(format!(
        r#"<path class="axis" d="M{left} {TOP}V{bottom}H{right}"/>"#
    ));
    for (at, point) in curve.points.iter().enumerate() {
        let (x, y) = (x(at), bottom + 16.0);
        let users = thousands(point.users);
        put(format!(
            r#"<text x="{x:.1}" y="{y}" text-anchor="middle">{users}</text>"#
        ));
    }
    let middle = left + WIDTH / 2.0;
    let below = bottom + 34.0;
    put(format!(
        r#"<text class="faint" x="{middle}" y="{below}" text-anchor="middle">users</text>"#
    ));
    let (beside, half) = (left - 32.0, TOP + HEIGHT / 2.0);
    put(format!(
        r#"<text class="faint" transform="translate({beside} {half}) rotate(-90)" text-anchor="middle">times the cost of the first</text>"#
    ));
    let first = curve.points[0];
    let ours: Vec<f64> = curve.points.iter().map(|it| it.ours / first.ours).collect();
    let peer: Vec<f64> = curve.points.iter().map(|it| it.peer / first.peer).collect();
    for (class, line) in [("peer", peer), ("ours", ours)] {
        let places: Vec<(f64, f64)> = line
            .iter()
            .enumerate()
            .map(|(at, it)| (x(at), y(*it)))
            .collect();
        let path: Vec<String> = places
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        put(format!(
            r#"<polyline class="{class}" points="{}"/>"#,
            path.join(" ")
        ));
        for (x, y) in places {
            put(format!(
                r#"<circle class="{class}-dot" cx="{x:.1}" cy="{y:.1}" r="3"/>"#
            ));
        }
    }
}

fn legend(svg: &mut String, y: f64) {
    let mut x = LEFT;
    for (class, name) in [("ours", "Tenure"), ("peer", "by hand")] {
        let (end, line, text) = (x + 30.0, y - 4.0, x + 36.0);
        let _written = writeln!(
            svg,
            r#"<line class="{class}" x1="{x}" y1="{line}" x2="{end}" y2="{line}"/><text x="{text}" y="{y}">{name}</text>"#
        );
        x += 120.0;
    }
}

fn thousands(users: u64) -> String {
    match users {
        1_000_000.. if users.is_multiple_of(1_000_000) => format!("{} M", users / 1_000_000),
        1_000.. if users.is_multiple_of(1_000) => format!("{} k", users / 1_000),
        10_000.. => format!("{:.1} k", users as f64 / 1_000.0),
        _ => users.to_string(),
    }
}
