/* gotmpl_rows.h -- templates, conversations, and what Go's text/template made of them with the data and functions that Ollama gives. */
#ifndef SLM_TEST_GOTMPL_ROWS_H
#define SLM_TEST_GOTMPL_ROWS_H

#define INPUT_TALK \
    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant" \
    "\", \"content\": \"Hello.\"}, {\"role\": \"user\", \"content\": \"And <now>?\"}]}"
#define INPUT_RUNS \
    "{\"messages\": [{\"role\": \"system\", \"content\": \"A\"}, {\"role\": \"system\", \"content\": \"B\"}, {\"role\": \"user\", \"content" \
    "\": \"x\"}, {\"role\": \"user\", \"content\": \"y\"}, {\"role\": \"assistant\", \"content\": \"z\"}]}"
#define INPUT_TOOL \
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Weather?\"}, {\"role\": \"assistant\", \"content\": \"\", \"reasoning_content\": \"ask" \
    "\", \"tool_calls\": [{\"id\": \"c1\", \"function\": {\"name\": \"look\", \"arguments\": {\"place\": \"Oslo & <co>\", \"days\": 2, \"b\": [tr" \
    "ue, null, 1.5], \"a\": {\"z\": 1, \"k\": \"v\"}}}}]}, {\"role\": \"tool\", \"content\": \"cold\", \"name\": \"look\", \"tool_call_id" \
    "\": \"c1\"}], \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"look\", \"description\": \"Looks \\\"out\\\"\", \"parameters" \
    "\": {\"type\": \"object\", \"required\": [\"place\"], \"additionalProperties\": false, \"properties\": {\"place\": {\"type\": \"string" \
    "\", \"description\": \"Where\"}, \"days\": {\"type\": [\"integer\", \"null\"], \"enum\": [1, 2, 1000000.0]}, \"any\": {\"anyOf\": [{\"type" \
    "\": \"array\"}, {\"type\": \"object\"}]}, \"deep\": {\"type\": \"object\", \"properties\": {\"y\": {\"type\": \"boolean\"}, \"a\": {}}}}}}}]" \
    "}"
#define INPUT_THINK \
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Q\"}], \"enable_thinking\": false}"
#define INPUT_EFFORT \
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Q\"}], \"reasoning_effort\": \"high\"}"
#define INPUT_FILL \
    "{\"prompt\": \"a = \", \"suffix\": \" + c\", \"messages\": []}"

static const struct gotmpl_row {
    const char *template, *input, *want;
} gotmpl_rows[] = {
    {"{{ range .Messages }}<{{ .Role }}>{{ .Content }}\n{{ end }}<assistant>", INPUT_TALK,
     "<system>Be brief.\n<user>Hi\n<assistant>Hello.\n<user>And <now>?\n<assistant>"},
    {"{{- range $i, $m := .Messages -}}\n  {{ $i }}:{{ $m.Role }}{{ if eq $i 1 }} (first){{ else if gt $i 2 }} (late){{ else }} (other){{ end }};"
     "\n{{- end -}}  end", INPUT_TALK,
     "0:system (other);1:user (first);2:assistant (other);3:user (late);end"},
    {"{{ range .Messages }}{{ if eq .Role \"system\" }}{{ continue }}{{ end }}{{ if eq .Role \"assistant\" }}{{ break }}{{ end }}{{ .Content }}{{ "
     "end }}", INPUT_TALK,
     "Hi"},
    {"{{/* a comment */}}a {{- /* it trims */ -}} b{{ len .Messages }}", INPUT_TALK,
     "ab4"},
    {"{{ $last := \"\" }}{{ range .Messages }}{{ $last = .Content }}{{ $last := 1 }}{{ end }}{{ $last }} {{ $.System }}", INPUT_TALK,
     "And <now>? Be brief."},
    {"{{ (index .Messages 1).Content }} {{ len (slice .Messages 1 3) }} {{ index .System 0 }} {{ slice .System 3 8 }}{{ range slice .Messages 3 }}"
     "{{ .Role }}{{ end }}", INPUT_TALK,
     "Hi 2 66 briefuser"},
    {"{{ with .System }}[{{ . }}]{{ end }}{{ with .Nothing }}no{{ else }}none{{ end }}{{ with $x := len .Messages }}{{ $x }}{{ . }}{{ end }}", INPUT_TALK,
     "[Be brief.]none44"},
    {"{{ define \"turn\" }}{{ .Role }}/{{ $.Content }};{{ end }}{{ range .Messages }}{{ template \"turn\" . }}{{ end }}{{ block \"tail\" len .Mess"
     "ages }}={{ . }}{{ end }}", INPUT_TALK,
     "system/Be brief.;user/Hi;assistant/Hello.;user/And <now>?;=4"},
    {"{{ and 1 0 }} {{ and .System 2 }} {{ or \"\" 0 \"x\" }} {{ not .Tools }} {{ or .Tools .System }} {{ .System | len | eq 9 }} {{len .Messages}"
     "}", INPUT_TALK,
     "0 2 x true Be brief. true 4"},
    {"{{ eq 1 2 1 }} {{ ne \"a\" \"b\" }} {{ lt 1.5 2.5 }} {{ le \"b\" \"a\" }} {{ gt 3 2 }} {{ ge 2 2 }} {{ eq .Nothing nil }} {{len .Messages}}", INPUT_TALK,
     "true true true false true true true 4"},
    {"{{ print 1 2 \"a\" 3 nil true 2.50 }}|{{ println 1 \"a\" }}|{{ print }}|{{ .Nothing }}|{{ print .Nothing }}|{{len .Messages}}", INPUT_TALK,
     "1 2a3 <nil> true 2.5|1 a\n||<no value>|<nil>|4"},
    {"{{ printf \"%s|%5s|%-5s|%.2s|%q|%v|%d|%03d|%+d|%t|%c|%.2f|%8.3f|%e|%%\" \"a\" \"\303\251\" \"b\" \"xyz\" \"q\\\"\\n\" .Tools 7 7 7 true 'x' "
     "2.345 3.14159 12345.678 }}{{len .Messages}}", INPUT_TALK,
     "a|    \303\251|b    |xy|\"q\\\"\\n\"|null|7|007|+7|true|x|2.35|   3.142|1.234568e+04|%4"},
    {"{{ 0x1F }} {{ 017 }} {{ 0b101 }} {{ 1e3 }} {{ -5 }} {{ .5 }} {{ 'a' }} {{ `raw\\n` }} {{ \"\\t\\x41\\u00e9\" }} {{ true }} {{ 123456789.0 }}"
     " {{ 0.00001 }}{{len .Messages}}", INPUT_TALK,
     "31 15 5 1000 -5 0.5 97 raw\\n \tA\303\251 true 1.23456789e+08 1e-054"},
    {"{{ json .System }} {{ json 1 }} {{ json nil }} {{ json .Messages }}", INPUT_TALK,
     "\"Be brief.\" 1 null [{\"Role\":\"system\",\"Content\":\"Be brief.\",\"Thinking\":\"\",\"Images\":null,\"ToolCalls\":null,\"ToolName"
     "\":\"\",\"ToolCallID\":\"\"},{\"Role\":\"user\",\"Content\":\"Hi\",\"Thinking\":\"\",\"Images\":null,\"ToolCalls\":null,\"ToolName"
     "\":\"\",\"ToolCallID\":\"\"},{\"Role\":\"assistant\",\"Content\":\"Hello.\",\"Thinking\":\"\",\"Images\":null,\"ToolCalls\":null,\"ToolName"
     "\":\"\",\"ToolCallID\":\"\"},{\"Role\":\"user\",\"Content\":\"And \\u003cnow\\u003e?\",\"Thinking\":\"\",\"Images\":null,\"ToolCalls\":null,"
     "\"ToolName\":\"\",\"ToolCallID\":\"\"}]"},
    {"{{ range $k, $v := $ }}{{ $k }} {{ end }}{{ len .Messages }} {{ .Tools }} {{ toTypeScriptType 1 }}", INPUT_TALK,
     "IsThinkSet Messages Response System Think ThinkLevel Tools 4 null any"},
    {"{{ if .System }}S:{{ .System }}\n{{ end }}{{ if .Prompt }}U:{{ .Prompt }}\n{{ end }}A:{{ .Response }}<end>\n", INPUT_TALK,
     "S:Be brief.\nU:Hi\nA:Hello.<end>\nU:And <now>?\nA:"},
    {"{{ .System }}|{{ .Prompt }}|", INPUT_TALK,
     "Be brief.|Hi|Hello.|And <now>?|"},
    {"{{ .Prompt }}{{ if .Response }}[{{ .Response }}]after{{ end }}more{{ .System }}", INPUT_TALK,
     "Hi[Hello.]aftermoreBe brief.And <now>?"},
    {"{{ .Prompt }}{{ .Response | printf \"<%s>\" }}after", INPUT_TALK,
     "Hi<Hello.>afterAnd <now>?"},
    {"{{ .System }};{{ range .Messages }}{{ .Role }}={{ .Content }};{{ end }}", INPUT_RUNS,
     "A\n\nB;system=A\n\nB;user=x\n\ny;assistant=z;"},
    {"{{ if .System }}S:{{ .System }} {{ end }}U:{{ .Prompt }} A:{{ .Response }} E", INPUT_RUNS,
     "S:A\n\nB U:x\n\ny A:z"},
    {"{{ range .Tools }}{{ . }}\n{{ .Function }}\n{{ .Function.Parameters.Required }}{{ end }}{{ .Tools }}{{ len .Messages }}", INPUT_TOOL,
     "{\"type\":\"function\",\"function\":{\"name\":\"look\",\"description\":\"Looks \\\"out\\\"\",\"parameters\":{\"type\":\"object\",\"required"
     "\":[\"place\"],\"properties\":{\"any\":{\"anyOf\":[{\"type\":\"array\"},{\"type\":\"object\"}]},\"days\":{\"type\":[\"integer\",\"null"
     "\"],\"enum\":[1,2,1000000]},\"deep\":{\"type\":\"object\",\"properties\":{\"y\":{\"type\":\"boolean\"},\"a\":{}}},\"place\":{\"type\":\"stri"
     "ng\",\"description\":\"Where\"}}}}}\n{\"name\":\"look\",\"description\":\"Looks \\\"out\\\"\",\"parameters\":{\"type\":\"object\",\"required"
     "\":[\"place\"],\"properties\":{\"any\":{\"anyOf\":[{\"type\":\"array\"},{\"type\":\"object\"}]},\"days\":{\"type\":[\"integer\",\"null"
     "\"],\"enum\":[1,2,1000000]},\"deep\":{\"type\":\"object\",\"properties\":{\"y\":{\"type\":\"boolean\"},\"a\":{}}},\"place\":{\"type\":\"stri"
     "ng\",\"description\":\"Where\"}}}}\n[place][{\"type\":\"function\",\"function\":{\"name\":\"look\",\"description\":\"Looks \\\"out"
     "\\\"\",\"parameters\":{\"type\":\"object\",\"required\":[\"place\"],\"properties\":{\"any\":{\"anyOf\":[{\"type\":\"array\"},{\"type\":\"obj"
     "ect\"}]},\"days\":{\"type\":[\"integer\",\"null\"],\"enum\":[1,2,1000000]},\"deep\":{\"type\":\"object\",\"properties\":{\"y\":{\"type"
     "\":\"boolean\"},\"a\":{}}},\"place\":{\"type\":\"string\",\"description\":\"Where\"}}}}}]3"},
    {"{{ range .Tools }}{{ range $name, $p := .Function.Parameters.Properties }}{{ $name }}: {{ $p.Type }} {{ toTypeScriptType $p }} {{ $p.ToTypeS"
     "criptType }} {{ $p.Enum }} {{ $p.Description }} {{ json $p }};\n{{ end }}{{ .Function.Parameters.Properties.none.Description }}{{ end }}{{ l"
     "en .Messages }}", INPUT_TOOL,
     "any:  any[] | Record<string, any> any[] | Record<string, any> []  {\"anyOf\":[{\"type\":\"array\"},{\"type\":\"object\"}]};\ndays: [integer "
     "null] number | null number | null [1 2 1e+06]  {\"type\":[\"integer\",\"null\"],\"enum\":[1,2,1000000]};\ndeep: object Record<string, any> R"
     "ecord<string, any> []  {\"type\":\"object\",\"properties\":{\"y\":{\"type\":\"boolean\"},\"a\":{}}};\nplace: string string string [] Where {"
     "\"type\":\"string\",\"description\":\"Where\"};\n3"},
    {"{{ range .Messages }}{{ .Thinking }}{{ .ToolName }}{{ .ToolCallID }}{{ range .ToolCalls }}{{ .ID }} {{ .Function.Index }} {{ .Function.Name "
     "}}({{ .Function.Arguments }}) {{ json .Function.Arguments }}{{ range $k, $v := .Function.Arguments }} {{ $k }}={{ $v }}{{ end }} {{ .Functio"
     "n.Arguments.place }} {{ index .Function.Arguments \"days\" }}{{ end }};{{ end }}", INPUT_TOOL,
     ";askc1 0 look({\"a\":{\"k\":\"v\",\"z\":1},\"b\":[true,null,1.5],\"days\":2,\"place\":\"Oslo \\u0026 \\u003cco\\u003e\"}) {"
     "\"a\":{\"k\":\"v\",\"z\":1},\"b\":[true,null,1.5],\"days\":2,\"place\":\"Oslo \\u0026 \\u003cco\\u003e\"} a=map[k:v z:1] b=[true <nil> 1.5] "
     "days=2 place=Oslo & <co> Oslo & <co> 2;lookc1;"},
    {"{{ range .Messages }}{{ .ToolCalls }}{{ .Images }}{{ if .ToolCalls }}T{{ else }}-{{ end }}{{ end }}", INPUT_TOOL,
     "[][]-[{c1 {0 look {\"a\":{\"k\":\"v\",\"z\":1},\"b\":[true,null,1.5],\"days\":2,\"place\":\"Oslo \\u0026 \\u003cco\\u003e\"}}}][]T[][]-"},
    {"{{ range .Messages }}{{ .Content }}{{ .Thinking }}{{ end }}{{ .IsThinkSet }} {{ .Think }} {{ .ThinkLevel }}.", INPUT_THINK,
     "Qtrue false ."},
    {"{{ len .Messages }}{{ .IsThinkSet }} {{ .Think }} {{ .ThinkLevel }}.", INPUT_EFFORT,
     "1true true high."},
    {"{{ range .Messages }}{{ .Thinking }}{{ end }}{{ .IsThinkSet }} {{ .Think }} {{ .ThinkLevel }}.", INPUT_TALK,
     "true true medium."},
    {"{{ len .Messages }}{{ .IsThinkSet }} {{ .Think }} {{ .ThinkLevel }}.", INPUT_TALK,
     "4false false ."},
    {"{{ if .Suffix }}<pre>{{ .Prompt }}<suf>{{ .Suffix }}<mid>{{ else }}{{ .Prompt }}{{ end }}", INPUT_FILL,
     "<pre>a = <suf> + c<mid>"},
};

#endif
