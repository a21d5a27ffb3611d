import type { SettingDeclaration } from '../channels.ts'
import { Field, SelectField, TextField } from './basics.tsx'

/** What stands in place of a secret; given back, the server keeps the one that it has. */
const mask = '********'

/** Longer texts have several lines. */
const maxLine = 2048

interface SettingFieldsProps {
  readonly declared: readonly SettingDeclaration[]
  readonly values: Readonly<Record<string, unknown>>
}

/** The settings of a kind of channel, as its declaration has them. */
export function SettingFields({ declared, values }: SettingFieldsProps) {
  return declared.map((setting) => <SettingField key={setting.name} setting={setting} value={values[setting.name]} />)
}

function SettingField({ setting, value }: { readonly setting: SettingDeclaration; readonly value: unknown }) {
  const { name, description, required, secret, schema } = setting
  const standard = setting.default === null || setting.default === undefined ? 'none' : String(setting.default)
  const text = value === null || value === undefined ? '' : String(value)
  const common = { label: name, name: `setting ${name}`, defaultValue: text, required }
  const words = schema.type === 'boolean' ? ['true', 'false'] : schema.enum
  if (words) {
    return (
      <>
        <SelectField {...common}>
          {!required && <option value="">{`default (${standard})`}</option>}
          {words.map((word) => (
            <option key={word}>{word}</option>
          ))}
        </SelectField>
        <small>{description}</small>
      </>
    )
  }
  if (secret) {
    const hint = `${description}. ${text === mask ? `${mask} keeps the one that is stored` : 'It is stored encrypted'}`
    return <Field {...common} hint={hint} type="password" autoComplete="new-password" spellCheck={false} />
  }
  const hint = text.startsWith('http')
    ? `${description}. A user name and password in it are not shown: give them again`
    : description
  const placeholder = required || standard === 'none' ? undefined : standard
  if (schema.type === 'integer') {
    return <Field {...common} hint={hint} placeholder={placeholder} type="number" min={schema.minimum} max={schema.maximum} />
  }
  if ((schema.maxLength ?? 0) > maxLine) return <TextField {...common} hint={hint} className="code" rows={4} />
  return <Field {...common} hint={hint} placeholder={placeholder} spellCheck={false} />
}

/** Returns the settings of a form with these fields; those that are empty have their default. */
export function settingsOf(
  declared: readonly SettingDeclaration[],
  texts: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  const given = declared.flatMap(({ name, schema: { type } }): [string, unknown][] => {
    const text = texts[`setting ${name}`]
    if (text === undefined || text === '') return []
    return [[name, type === 'boolean' ? text === 'true' : type === 'integer' ? Number(text) : text]]
  })
  return Object.fromEntries(given)
}
