//! Whether a value is as a JSON Schema says: the keywords that this program's schemas use, and no others,
//! for what is not understood here is not tested.

use serde_json::Value;

/// Keywords that say nothing about a value.
const ANNOTATIONS: [&str; 7] =
    ["$schema", "$defs", "title", "description", "default", "format", "$comment"];

/// The first thing at which a value and a schema disagree; fails at a keyword that is not known here.
#[must_use]
pub fn fault(root: &Value, value: &Value) -> Option<String> {
    check(root, root, value, "$").err()
}

fn check(root: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let Value::Object(keywords) = schema else {
        return if schema == &Value::Bool(true) {
            Ok(())
        } else {
            Err(format!("{place}: refused"))
        };
    };
    for (keyword, wanted) in keywords {
        keyword_holds(root, keywords, (keyword, wanted), value, place)?;
    }
    Ok(())
}

type Keywords = serde_json::Map<String, Value>;

fn keyword_holds(
    root: &Value,
    keywords: &Keywords,
    (keyword, wanted): (&str, &Value),
    value: &Value,
    place: &str,
) -> Result<(), String> {
    let fails = || Err(format!("{place}: {keyword} {wanted} does not hold for {value}"));
    let holds = match keyword {
        "$ref" => {
            let path = wanted.as_str().unwrap().strip_prefix('#').unwrap();
            return check(root, root.pointer(path).unwrap(), value, place);
        }
        "type" => match wanted {
            Value::Array(types) => types.iter().any(|own| is_of(own, value)),
            own => is_of(own, value),
        },
        "const" => wanted == value,
        "enum" => wanted.as_array().unwrap().contains(value),
        "minimum" => value.as_f64().is_none_or(|own| own >= wanted.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|own| own <= wanted.as_f64().unwrap()),
        "minItems" => length(value).is_none_or(|own| own >= wanted.as_u64().unwrap()),
        "maxItems" => length(value).is_none_or(|own| own <= wanted.as_u64().unwrap()),
        "anyOf" => accepted(root, wanted, value, place) > 0,
        "oneOf" => accepted(root, wanted, value, place) == 1,
        "required" => value.as_object().is_none_or(|own| {
            wanted.as_array().unwrap().iter().all(|name| own.contains_key(name.as_str().unwrap()))
        }),
        "items" | "prefixItems" => return items(root, (keyword, wanted), value, place),
        "properties" | "additionalProperties" => {
            return fields(root, keywords, (keyword, wanted), value, place);
        }
        _ if ANNOTATIONS.contains(&keyword) => true,
        _ => panic!("the keyword {keyword} is not known here"),
    };
    if holds { Ok(()) } else { fails() }
}

fn is_of(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type {other} is not known here"),
    }
}

fn length(value: &Value) -> Option<u64> {
    value.as_array().map(|items| items.len() as u64)
}

fn accepted(root: &Value, schemas: &Value, value: &Value, place: &str) -> usize {
    let holds = |schema: &&Value| check(root, schema, value, place).is_ok();
    schemas.as_array().unwrap().iter().filter(holds).count()
}

fn items(
    root: &Value,
    (keyword, wanted): (&str, &Value),
    value: &Value,
    place: &str,
) -> Result<(), String> {
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        let schema = if keyword == "items" { Some(wanted) } else { wanted.get(index) };
        if let Some(schema) = schema {
            check(root, schema, item, &format!("{place}[{index}]"))?;
        }
    }
    Ok(())
}

fn fields(
    root: &Value,
    keywords: &Keywords,
    (keyword, wanted): (&str, &Value),
    value: &Value,
    place: &str,
) -> Result<(), String> {
    let known = keywords.get("properties");
    for (name, field) in value.as_object().into_iter().flatten() {
        let own = known.and_then(|known| known.get(name));
        let schema =
            if keyword == "properties" { own } else { Some(wanted).filter(|_| own.is_none()) };
        if let Some(schema) = schema {
            check(root, schema, field, &format!("{place}.{name}"))?;
        }
    }
    Ok(())
}
