//! Unicode signs and letters, rewritten as LaTeX.

/// Rewrites everything outside ASCII that has a LaTeX name. Linear.
pub(crate) fn to_latex(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut raised: Option<char> = None;
    for c in text.chars() {
        if let Some((mark, plain)) = script(c) {
            if raised != Some(mark) {
                if raised.is_some() {
                    out.push('}');
                }
                out.push(mark);
                out.push('{');
            }
            raised = Some(mark);
            out.push(plain);
            continue;
        }
        if raised.take().is_some() {
            out.push('}');
        }
        if c.is_ascii() {
            // Control characters other than line ends are noise.
            if !c.is_ascii_control() || c == '\n' || c == '\t' {
                out.push(c);
            } else if c == '\r' {
                out.push('\n');
            }
            continue;
        }
        match command(c) {
            Some(latex) => out.push_str(latex),
            None => match c {
                '\u{ff01}'..='\u{ff5e}' => {
                    out.push(char::from_u32(u32::from(c) - 0xfee0).unwrap_or(' '));
                }
                _ if c.is_whitespace() => out.push(' '),
                '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => {}
                _ => out.push(c),
            },
        }
    }
    if raised.is_some() {
        out.push('}');
    }
    out
}

/// Superscripts and subscripts.
fn script(c: char) -> Option<(char, char)> {
    let up = |plain| Some(('^', plain));
    let down = |plain| Some(('_', plain));
    match c {
        '\u{2070}' => up('0'),
        '\u{b9}' => up('1'),
        '\u{b2}' => up('2'),
        '\u{b3}' => up('3'),
        '\u{2074}'..='\u{2079}' => up(char::from(b'4' + (u32::from(c) - 0x2074) as u8)),
        '\u{207a}' => up('+'),
        '\u{207b}' => up('-'),
        '\u{207d}' => up('('),
        '\u{207e}' => up(')'),
        '\u{207f}' => up('n'),
        '\u{2071}' => up('i'),
        '\u{2e3}' => up('x'),
        '\u{2080}'..='\u{2089}' => down(char::from(b'0' + (u32::from(c) - 0x2080) as u8)),
        '\u{2090}' => down('a'),
        '\u{2099}' => down('n'),
        '\u{2093}' => down('x'),
        _ => None,
    }
}

fn command(c: char) -> Option<&'static str> {
    operator(c)
        .or_else(|| fraction(c))
        .or_else(|| greek(c))
        .or_else(|| mark(c))
}

/// Signs of operations, relations and sets.
fn operator(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{2212}' | '\u{2013}' | '\u{2014}' | '\u{2010}' | '\u{2011}' | '\u{fe63}' => "-",
        '\u{d7}' | '\u{2a2f}' => "\\times ",
        '\u{b7}' | '\u{22c5}' | '\u{2219}' | '\u{2022}' => "\\cdot ",
        '\u{f7}' => "\\div ",
        '\u{221a}' => "\\sqrt ",
        '\u{221b}' => "\\sqrt[3]",
        '\u{3c0}' => "\\pi ",
        '\u{221e}' => "\\infty ",
        '\u{b0}' | '\u{ba}' | '\u{2da}' => "^\\circ ",
        '\u{2044}' | '\u{2215}' => "/",
        '\u{2264}' | '\u{2a7d}' | '\u{2266}' => "\\le ",
        '\u{2265}' | '\u{2a7e}' | '\u{2267}' => "\\ge ",
        '\u{2260}' => "\\ne ",
        '\u{2248}' | '\u{2243}' | '\u{2245}' => "\\approx ",
        '\u{2261}' => "\\equiv ",
        '\u{222a}' | '\u{22c3}' => "\\cup ",
        '\u{2229}' | '\u{22c2}' => "\\cap ",
        '\u{2208}' => "\\in ",
        '\u{2209}' => "\\notin ",
        '\u{2205}' => "\\emptyset ",
        '\u{2216}' => "\\setminus ",
        '\u{2286}' => "\\subseteq ",
        '\u{2282}' => "\\subset ",
        '\u{b1}' => "\\pm ",
        '\u{2213}' => "\\mp ",
        _ => return None,
    })
}

/// Fractions that are one character.
fn fraction(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{bd}' => " \\frac{1}{2}",
        '\u{bc}' => " \\frac{1}{4}",
        '\u{be}' => " \\frac{3}{4}",
        '\u{2153}' => " \\frac{1}{3}",
        '\u{2154}' => " \\frac{2}{3}",
        '\u{2155}' => " \\frac{1}{5}",
        '\u{2156}' => " \\frac{2}{5}",
        '\u{2157}' => " \\frac{3}{5}",
        '\u{2158}' => " \\frac{4}{5}",
        '\u{2159}' => " \\frac{1}{6}",
        '\u{215a}' => " \\frac{5}{6}",
        '\u{215b}' => " \\frac{1}{8}",
        '\u{215c}' => " \\frac{3}{8}",
        '\u{215d}' => " \\frac{5}{8}",
        '\u{215e}' => " \\frac{7}{8}",
        _ => return None,
    })
}

/// Letters.
fn greek(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{3b1}' => "\\alpha ",
        '\u{3b2}' => "\\beta ",
        '\u{3b3}' => "\\gamma ",
        '\u{3b4}' => "\\delta ",
        '\u{3b5}' | '\u{3f5}' => "\\epsilon ",
        '\u{3b6}' => "\\zeta ",
        '\u{3b7}' => "\\eta ",
        '\u{3b8}' | '\u{3d1}' => "\\theta ",
        '\u{3ba}' => "\\kappa ",
        '\u{3bb}' => "\\lambda ",
        '\u{3bc}' | '\u{b5}' => "\\mu ",
        '\u{3bd}' => "\\nu ",
        '\u{3be}' => "\\xi ",
        '\u{3c1}' => "\\rho ",
        '\u{3c3}' => "\\sigma ",
        '\u{3c4}' => "\\tau ",
        '\u{3c6}' | '\u{3d5}' => "\\phi ",
        '\u{3c7}' => "\\chi ",
        '\u{3c8}' => "\\psi ",
        '\u{3c9}' => "\\omega ",
        '\u{393}' => "\\Gamma ",
        '\u{394}' => "\\Delta ",
        '\u{398}' => "\\Theta ",
        '\u{39b}' => "\\Lambda ",
        '\u{3a3}' => "\\Sigma ",
        '\u{3a6}' => "\\Phi ",
        '\u{3a8}' => "\\Psi ",
        '\u{3a9}' | '\u{2126}' => "\\Omega ",
        _ => return None,
    })
}

/// Brackets, quotes, big operators, currencies and everything else.
fn mark(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{2032}' | '\u{2019}' | '\u{2018}' => "'",
        '\u{2033}' => "''",
        '\u{201c}' | '\u{201d}' => "\"",
        '\u{27e8}' | '\u{2329}' | '\u{3008}' => "\\langle ",
        '\u{27e9}' | '\u{232a}' | '\u{3009}' => "\\rangle ",
        '\u{230a}' => "\\lfloor ",
        '\u{230b}' => "\\rfloor ",
        '\u{2308}' => "\\lceil ",
        '\u{2309}' => "\\rceil ",
        '\u{222b}' => "\\int ",
        '\u{2211}' => "\\sum ",
        '\u{220f}' => "\\prod ",
        '\u{211d}' => "\\mathbb{R}",
        '\u{2124}' => "\\mathbb{Z}",
        '\u{2115}' => "\\mathbb{N}",
        '\u{211a}' => "\\mathbb{Q}",
        '\u{2102}' => "\\mathbb{C}",
        '\u{2192}' => "\\to ",
        '\u{21d2}' => "\\Rightarrow ",
        '\u{2227}' => "\\land ",
        '\u{2228}' => "\\lor ",
        '\u{2220}' => "\\angle ",
        '\u{25b3}' | '\u{2206}' => "\\triangle ",
        '\u{20ac}' | '\u{a2}' | '\u{a3}' | '\u{a5}' | '\u{20b9}' | '\u{ffe5}' => "\\$",
        '\u{2026}' => "\\ldots ",
        '\u{2113}' => "\\ell ",
        '\u{127}' | '\u{210f}' => "\\hbar ",
        '\u{ff0c}' | '\u{3001}' => ",",
        '\u{3002}' => ".",
        '\u{2236}' => ":",
        '\u{2223}' => "|",
        _ => return None,
    })
}
