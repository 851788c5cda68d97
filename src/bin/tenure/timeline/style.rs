//! What an SVG picture looks like.

/// Light, and dark where the reader prefers it.
pub(super) const STYLE: &str = "\
.tenure text{font-family:system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1c2330}
.tenure .paper{fill:#fff}
.tenure .head{font-size:17px;font-weight:600}
.tenure .name{font-size:13px;font-weight:600}
.tenure .small{font-size:12px}
.tenure .faint{font-size:12px;fill:#566070}
.tenure .grid{stroke:#e1e5ec}
.tenure .edge{stroke:#8b95a5;fill:none}
.tenure .mark{stroke:#1c2330;stroke-dasharray:3 3}
.tenure .dot{fill:#fff;stroke:#566070}
.tenure .number{font-size:10px;text-anchor:middle}
.tenure .active{fill:#1d7f52}
.tenure .grace-a{fill:#ffe3b3}.tenure .grace-b{stroke:#b26a00}
.tenure .suspended-a{fill:#fbdcd9}.tenure .suspended-b{stroke:#b3261e}
.tenure .parent-a{fill:#e6e2f8}.tenure .parent-b{fill:#5b4fa3}
.tenure .elsewhere{fill:none;stroke:#566070;stroke-dasharray:4 3}
@media (prefers-color-scheme:dark){
.tenure text{fill:#e6eaf1}
.tenure .paper{fill:#12161d}
.tenure .faint{fill:#a6b0bf}
.tenure .grid{stroke:#29303b}
.tenure .edge{stroke:#6f7a8a}
.tenure .mark{stroke:#e6eaf1}
.tenure .dot{fill:#12161d;stroke:#a6b0bf}
.tenure .active{fill:#3fb27f}
.tenure .grace-a{fill:#4a3510}.tenure .grace-b{stroke:#f0b04a}
.tenure .suspended-a{fill:#4a1f1d}.tenure .suspended-b{stroke:#f2857d}
.tenure .parent-a{fill:#2c2750}.tenure .parent-b{fill:#a99cf0}
.tenure .elsewhere{stroke:#a6b0bf}
}";

/// Seen without colour: whole, stripes, crosses, dots, an outline.
pub(super) const PATTERNS: &str = "\
<pattern id='tenure-grace' width='8' height='8' patternUnits='userSpaceOnUse'><rect class='grace-a' width='8' height='8'/>\
<path class='grace-b' stroke-width='2' d='M-2 2 2-2M0 8 8 0M6 10 10 6'/></pattern>
<pattern id='tenure-suspended' width='9' height='9' patternUnits='userSpaceOnUse'><rect class='suspended-a' width='9' height='9'/>\
<path class='suspended-b' stroke-width='1.2' d='M0 0 9 9M9 0 0 9'/></pattern>
<pattern id='tenure-parent' width='6' height='6' patternUnits='userSpaceOnUse'><rect class='parent-a' width='6' height='6'/>\
<circle class='parent-b' cx='3' cy='3' r='1.2'/></pattern>";
