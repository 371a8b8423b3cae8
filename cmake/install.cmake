# SPDX-License-Identifier: Apache-2.0
# What an administrator finds beside programs and libraries: units, users, folders, sample configurations, manual pages, and
# what another language needs to speak the wire. Programs and libraries are installed where they are built.
set(touchbus_programs touchbusd touchbus touchbus-web touchbus-email touchbus-crm touchbus-erp touchbus-scm)

# Units name programs by their whole path, which is known at installing only (--prefix).
foreach(unit broker/touchbusd.service connectors/touchbus-connector@.service)
  get_filename_component(name ${unit} NAME)
  install(CODE "
    set(bindir \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
    string(RANDOM own) # of this installing: another may run beside it
    configure_file(\"${CMAKE_SOURCE_DIR}/${unit}.in\" \"${CMAKE_BINARY_DIR}/units-\${own}/${name}\" @ONLY)
    file(INSTALL DESTINATION \"\${CMAKE_INSTALL_PREFIX}/lib/systemd/system\" TYPE FILE
      FILES \"${CMAKE_BINARY_DIR}/units-\${own}/${name}\")
    file(REMOVE_RECURSE \"${CMAKE_BINARY_DIR}/units-\${own}\")")
endforeach()
install(FILES ${CMAKE_SOURCE_DIR}/broker/sysusers.conf DESTINATION lib/sysusers.d RENAME touchbus.conf)
install(FILES ${CMAKE_SOURCE_DIR}/connectors/sysusers.conf DESTINATION lib/sysusers.d RENAME touchbus-connectors.conf)
install(FILES ${CMAKE_SOURCE_DIR}/broker/tmpfiles.conf DESTINATION lib/tmpfiles.d RENAME touchbus.conf)

set(documents ${CMAKE_INSTALL_DATAROOTDIR}/doc/touchbus)
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/NOTICE DESTINATION ${documents})
foreach(folder broker connectors tools schemas)
  install(FILES ${CMAKE_SOURCE_DIR}/${folder}/README.md DESTINATION ${documents} RENAME ${folder}.md)
endforeach()
install(FILES ${CMAKE_SOURCE_DIR}/broker/sample.conf DESTINATION ${documents}/examples RENAME touchbusd.conf)
foreach(name web email crm erp scm)
  install(FILES ${CMAKE_SOURCE_DIR}/connectors/${name}/sample.conf DESTINATION ${documents}/examples RENAME ${name}.conf)
endforeach()
install(FILES ${CMAKE_SOURCE_DIR}/schemas/touchbus.proto ${CMAKE_SOURCE_DIR}/schemas/catalogue.txt
  ${CMAKE_SOURCE_DIR}/schemas/reasons.def ${CMAKE_SOURCE_DIR}/broker/policy/policy.yaml DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/touchbus)

set(pages)
foreach(program ${touchbus_programs})
  set(page ${CMAKE_BINARY_DIR}/man/${program}.1)
  add_custom_command(OUTPUT ${page}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
    COMMAND ${CMAKE_SOURCE_DIR}/cmake/manual.sh $<TARGET_FILE:${program}> ${PROJECT_VERSION} > ${page}
    DEPENDS ${program} ${CMAKE_SOURCE_DIR}/cmake/manual.sh VERBATIM)
  list(APPEND pages ${page})
endforeach()
add_custom_target(touchbus_manuals ALL DEPENDS ${pages})
install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
