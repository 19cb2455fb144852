# help/CODE.md -> a C file with all of them. Not more than a compiler must take of one
# string literal (C17 5.2.4.1) may be in one file.
function(make_help output)
  set(table "")
  foreach(file ${ARGN})
    get_filename_component(code ${file} NAME_WE)
    file(READ ${file} text)
    string(LENGTH "${text}" length)
    if(length GREATER 4000)
      message(FATAL_ERROR "${file} is too long")
    endif()
    string(REPLACE "\\" "\\\\" text "${text}")
    string(REPLACE "\"" "\\\"" text "${text}")
    string(REPLACE "\n" "\\n\"\n     \"" text "${text}")
    string(APPEND table "    {\"${code}\",\n     \"${text}\"},\n")
  endforeach()
  list(LENGTH ARGN count)
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT
    "#include \"policy-lang/model/codes_help.h\"\n
const struct diag_help diag_help_texts[] = {
@table@};
const size_t diag_help_count = @count@;
")
endfunction()
