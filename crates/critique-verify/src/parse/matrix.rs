//! Matrices of expressions: sums, products, powers, determinants.

use super::{NoParse, Parsed};
use crate::algebra::{Id, Pool};

pub(crate) type Rows = Vec<Vec<Id>>;

/// Largest matrix, in rows or columns, that is multiplied or inverted.
const MAX_SIZE: usize = 6;

pub(crate) fn add(pool: &mut Pool, a: &Rows, b: &Rows) -> Parsed<Rows> {
    if a.len() != b.len() || a.iter().zip(b).any(|(x, y)| x.len() != y.len()) {
        return Err(NoParse);
    }
    Ok(a.iter()
        .zip(b)
        .map(|(x, y)| x.iter().zip(y).map(|(x, y)| pool.add(&[*x, *y])).collect())
        .collect())
}

pub(crate) fn scale(pool: &mut Pool, factor: Id, rows: &Rows) -> Rows {
    rows.iter()
        .map(|row| {
            row.iter()
                .map(|entry| pool.mul(&[factor, *entry]))
                .collect()
        })
        .collect()
}

pub(crate) fn mul(pool: &mut Pool, a: &Rows, b: &Rows) -> Parsed<Rows> {
    let inner = b.len();
    let width = b.first().map_or(0, Vec::len);
    if a.iter().any(|row| row.len() != inner) || inner > MAX_SIZE * 4 || a.len() > MAX_SIZE * 4 {
        return Err(NoParse);
    }
    Ok(a.iter()
        .map(|row| {
            (0..width)
                .map(|column| {
                    let parts: Vec<Id> = row
                        .iter()
                        .zip(b)
                        .map(|(x, other)| pool.mul(&[*x, other[column]]))
                        .collect();
                    pool.add(&parts)
                })
                .collect()
        })
        .collect())
}

pub(crate) fn transpose(rows: &Rows) -> Rows {
    let width = rows.first().map_or(0, Vec::len);
    (0..width)
        .map(|column| rows.iter().map(|row| row[column]).collect())
        .collect()
}

fn square(rows: &Rows) -> Parsed<usize> {
    let size = rows.len();
    if size == 0 || size > MAX_SIZE || rows.iter().any(|row| row.len() != size) {
        return Err(NoParse);
    }
    Ok(size)
}

/// Expansion along the first row; small sizes only.
pub(crate) fn det(pool: &mut Pool, rows: &Rows) -> Parsed<Id> {
    let size = square(rows)?;
    if size == 1 {
        return Ok(rows[0][0]);
    }
    let mut parts = Vec::new();
    for column in 0..size {
        let minor = det(pool, &minor(rows, 0, column))?;
        let sign = pool.int(if column % 2 == 0 { 1 } else { -1 });
        parts.push(pool.mul(&[sign, rows[0][column], minor]));
    }
    Ok(pool.add(&parts))
}

fn minor(rows: &Rows, skip_row: usize, skip_column: usize) -> Rows {
    rows.iter()
        .enumerate()
        .filter(|(row, _)| *row != skip_row)
        .map(|(_, entries)| {
            entries
                .iter()
                .enumerate()
                .filter(|(column, _)| *column != skip_column)
                .map(|(_, entry)| *entry)
                .collect()
        })
        .collect()
}

pub(crate) fn trace(pool: &mut Pool, rows: &Rows) -> Parsed<Id> {
    let size = square(rows)?;
    let diagonal: Vec<Id> = (0..size).map(|at| rows[at][at]).collect();
    Ok(pool.add(&diagonal))
}

/// The number of independent rows, by elimination; numbers only.
pub(crate) fn rank(pool: &mut Pool, rows: &Rows) -> Parsed<Id> {
    use dashu::rational::RBig;
    let mut table: Vec<Vec<RBig>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|entry| pool.as_number(*entry).cloned())
                .collect()
        })
        .collect::<Option<_>>()
        .ok_or(NoParse)?;
    let width = table.first().map_or(0, Vec::len);
    if table.len() > MAX_SIZE || width > MAX_SIZE || table.iter().any(|row| row.len() != width) {
        return Err(NoParse);
    }
    let mut rank = 0;
    for column in 0..width {
        let Some(pivot) = (rank..table.len()).find(|&row| !table[row][column].is_zero()) else {
            continue;
        };
        table.swap(rank, pivot);
        for row in rank + 1..table.len() {
            let factor = &table[row][column] / &table[rank][column];
            let pivot = table[rank].clone();
            for (entry, above) in table[row].iter_mut().zip(&pivot).skip(column) {
                *entry -= &factor * above;
            }
        }
        rank += 1;
    }
    Ok(pool.int(rank as i64))
}

/// The inner product of two lists of one length.
pub(crate) fn dot(pool: &mut Pool, a: &[Id], b: &[Id]) -> Parsed<Id> {
    if a.len() != b.len() {
        return Err(NoParse);
    }
    let parts: Vec<Id> = a.iter().zip(b).map(|(x, y)| pool.mul(&[*x, *y])).collect();
    Ok(pool.add(&parts))
}

/// The cross product of two vectors of three.
pub(crate) fn cross(pool: &mut Pool, a: &[Id], b: &[Id]) -> Parsed<Vec<Id>> {
    if a.len() != 3 || b.len() != 3 {
        return Err(NoParse);
    }
    Ok((0..3)
        .map(|at| {
            let (next, last) = ((at + 1) % 3, (at + 2) % 3);
            let first = pool.mul(&[a[next], b[last]]);
            let second = pool.mul(&[a[last], b[next]]);
            pool.sub(first, second)
        })
        .collect())
}

pub(crate) fn inverse(pool: &mut Pool, rows: &Rows) -> Parsed<Rows> {
    let size = square(rows)?;
    let bottom = det(pool, rows)?;
    if size == 1 {
        let one = pool.int(1);
        return Ok(vec![vec![pool.div(one, bottom)]]);
    }
    let mut out = Vec::new();
    for row in 0..size {
        let mut entries = Vec::new();
        for column in 0..size {
            let cofactor = det(pool, &minor(rows, column, row))?;
            let sign = pool.int(if (row + column) % 2 == 0 { 1 } else { -1 });
            let signed = pool.mul(&[sign, cofactor]);
            entries.push(pool.div(signed, bottom));
        }
        out.push(entries);
    }
    Ok(out)
}

pub(crate) fn power(pool: &mut Pool, rows: &Rows, exponent: i64) -> Parsed<Rows> {
    let size = square(rows)?;
    if exponent.unsigned_abs() > 64 {
        return Err(NoParse);
    }
    let base = if exponent < 0 {
        inverse(pool, rows)?
    } else {
        rows.clone()
    };
    let mut result: Rows = Vec::new();
    for row in 0..size {
        let entries = (0..size)
            .map(|column| pool.int(i64::from(row == column)))
            .collect();
        result.push(entries);
    }
    for _ in 0..exponent.unsigned_abs() {
        result = mul(pool, &result, &base)?;
        if pool.budget.exhausted() {
            return Err(NoParse);
        }
    }
    Ok(result)
}
